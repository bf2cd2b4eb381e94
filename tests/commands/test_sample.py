"""`limner sample` writes files with the requested pictures."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

import limner
from limner.commands import sample as sample_command
from limner.errors import UserError
from support.grids import grid_of
from support.runs import trained


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Train a VAE that draws a picture at each of three updates."""
    return trained(
        tmp_path_factory.mktemp("runs"),
        "network=mlp",
        "trainer.max_steps=3",
        "callbacks.pictures.every_num_updates=1",
        "callbacks.pictures.num_images=4",
    )


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """Train a GAN that is conditional on ten classes."""
    folder = tmp_path_factory.mktemp("conditional")
    return trained(folder, "model=cgan", "network=mlp", "callbacks.pictures.num_images=20")


@pytest.fixture
def sample(finished, tmp_path, monkeypatch, capsys):
    """Run `limner sample run=... WORDS` in an empty folder and return the paths that it prints."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str, run: Path = finished) -> list[Path]:
        assert sample_command.run([f"run={run}", "device=cpu", *words]) == 0
        return [Path(line) for line in capsys.readouterr().out.splitlines()]

    return command


def test_sample_writes_a_grid_into_the_run_folder_with_a_descriptive_name(sample, finished):
    (path,) = sample("num_images=9", "seed=3", "truncation=0.7")
    assert path == finished / "samples_9_seed_3_truncation_0.7.png"
    picture = Image.open(path)
    assert picture.size == (3 * 66 + 2, 3 * 66 + 2)


def test_sample_writes_the_images_of_load_as_a_folder_and_as_npz(sample, finished):
    expected = limner.load(finished, device="cpu").sample(70, seed=2)
    (folder,) = sample("mode=folder", "num_images=70", "seed=2", "to=drawn")
    files = sorted(folder.iterdir())
    assert [file.name for file in files[:2]] == ["000000.png", "000001.png"]
    images = np.stack([np.asarray(Image.open(file)) for file in files])
    assert np.array_equal(images[..., None], expected)
    (path,) = sample("mode=npz", "num_images=70", "seed=2", "to=deep/drawn.npz")
    assert path == Path("deep/drawn.npz"), "as short as it can be typed from here"
    assert np.array_equal(np.load(path)["arr_0"], expected)


def test_sample_refuses_a_folder_with_other_files(sample):
    sample("mode=folder", "num_images=3", "to=drawn")
    sample("mode=folder", "num_images=3", "to=drawn")
    with pytest.raises(UserError, match="the folder has other files"):
        sample("mode=folder", "num_images=2", "to=drawn")


def test_sample_grid_has_one_row_per_class_and_one_column_per_code(sample, conditional):
    (path,) = sample("mode=classes", "num_images=3", "seed=1", run=conditional)
    assert path == conditional / "classes_seed_1.png"
    assert Image.open(path).size == (3 * 66 + 2, 10 * 66 + 2)
    (few,) = sample("mode=classes", "labels=[4,2]", "num_images=3", "seed=1", run=conditional)
    whole, two = np.asarray(Image.open(path)), np.asarray(Image.open(few))
    assert np.array_equal(two[2:66], whole[4 * 66 + 2 : 4 * 66 + 66])
    with pytest.raises(UserError, match="is unconditional"):
        sample("mode=classes")


def test_sample_passes_the_class_of_an_interpolation_to_a_conditional_model(sample, conditional):
    with pytest.raises(UserError, match="needs one class"):
        sample("mode=traverse", run=conditional)
    walk = ["num_images=2", "num_steps=3", "truncation=0.5", "to=walk.png"]
    for mode in ("traverse", "interpolate"):
        assert len(sample(f"mode={mode}", "labels=[7]", *walk, run=conditional)) == 2
    (folder,) = sample("mode=folder", "num_images=2", "labels=[1,2]", "to=both", run=conditional)
    expected = limner.load(conditional, device="cpu").sample(2, labels=[1, 2])
    assert np.array_equal(np.asarray(Image.open(folder / "000001.png")), expected[1, :, :, 0])


def test_grids_of_training_have_one_row_per_class(conditional):
    """This holds as far as four images of each class fit into a grid."""
    assert grid_of(conditional / "final.png").shape[:2] == (5 * 66 + 2, 4 * 66 + 2)


def test_interpolation_passes_through_the_samples(sample, finished):
    strip, film = sample("mode=interpolate", "num_images=3", "num_steps=5", "to=a.b")
    assert [strip, film] == [Path("a.b.png"), Path("a.b.gif")]
    assert Image.open(strip).size == (5 * 66 + 2, 2 * 66 + 2)
    assert 3 * 16 - 5 <= Image.open(film).n_frames <= 3 * 16, "equal frames are merged"
    sample("mode=grid", "num_images=3", "to=grid.png")
    grid, rows = np.asarray(Image.open("grid.png")), np.asarray(Image.open(strip))
    first = (slice(2, 66), slice(2, 66))
    assert np.abs(grid[first].astype(int) - rows[first]).max() <= 1


def test_traversal_shows_the_requested_number_of_directions(sample):
    strip, film = sample("mode=traverse", "num_images=4", "num_steps=3", "to=t.gif")
    assert Image.open(strip).size == (3 * 66 + 2, 4 * 66 + 2)
    assert Image.open(film).size == (2 * 66 + 2, 2 * 66 + 2)
    assert Image.open(film).info["loop"] == 0


def test_progress_joins_the_pictures_of_training_to_a_film(sample, finished):
    (path,) = sample("mode=progress", "to=p.gif")
    film = Image.open(path)
    assert 2 <= film.n_frames <= 4
    film.seek(film.n_frames - 1)
    final = np.asarray(Image.open(finished / "final.png").convert("RGB")).astype(int)
    assert np.abs(np.asarray(film.convert("RGB")) - final).mean() < 5, (
        "but for a GIF's 256 colours"
    )


@pytest.mark.parametrize("kind", ["postscript", "pipe", "link", "many pixels", "too many"])
def test_progress_refuses_hostile_pictures(sample, tmp_path, monkeypatch, kind):
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: started.append(a))
    folder = tmp_path / "run" / "samples"
    folder.mkdir(parents=True)
    good, bad = folder / "update_00000001.png", folder / "update_00000002.png"
    Image.new("RGB", (8, 8)).save(good)
    if kind == "postscript":
        bad.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    elif kind == "pipe":
        os.mkfifo(bad)
    elif kind == "link":
        good.rename(tmp_path / "secret.png")
        bad.symlink_to(tmp_path / "secret.png")
        Image.new("RGB", (8, 8)).save(good)
    elif kind == "many pixels":
        Image.new("1", (12_000, 12_000)).save(bad)
    else:
        monkeypatch.setattr("limner.commands.progress_frames.MAX_FILM_PIXELS", 100)
        shutil.copy(good, bad)
    with pytest.raises(UserError, match=r"update_00000002\.png"):
        sample("mode=progress", run=folder.parent)
    assert not started
    assert not list(tmp_path.rglob("*.gif"))


def test_sample_names_mistakes(sample, finished, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(finished / "config.yaml", bare)
    for words, message in [
        (["mode=film"], "mode=film: choose one of grid, classes, captions, folder"),
        (["num_images=0"], "num_images=0: must be 1 or more"),
        (["seed=-1"], "seed=-1: must be 0 or more"),
        (["labels=[1]"], "trained without labels"),
        (["mode=traverse", "labels=[1]"], "trained without labels"),
        (["mode=interpolate", "num_steps=1"], "num_steps=1: must be 2 or more"),
        (["mode=interpolate", "interpolation=round"], "choose linear or spherical"),
        (["mode=npz", "to=a.png"], "mode=npz writes a .npz file"),
        (["mode=progress", f"run={bare}"], "there are 0"),
        ([f"run={bare}"], "the run has no checkpoint"),
        (["nums=3"], "nums: there is no such key"),
    ]:
        with pytest.raises(UserError) as error:
            sample(*words)
        assert message in str(error.value), words
    assert [path.name for path in tmp_path.iterdir()] == ["bare"], "nothing is left behind"
