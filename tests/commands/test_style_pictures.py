"""`limner sample` of the styles of a trained StyleGAN2, by the command line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import limner
from limner.commands import sample as sample_command
from limner.errors import UserError
from support.grids import grid_of
from support.runs import trained

TINY = [
    "model=gan", "network=stylegan2", "model.latent_dim=6", "network.generator.style_dim=8",
    "network.generator.num_mapping_layers=1", "network.generator.width=4",
    "network.generator.max_width=8", "network.discriminator.width=4",
    "network.discriminator.max_width=8", "callbacks.pictures.num_images=4",
]  # fmt: skip
CELL = 66
"""Height and width in a grid of an image of 8x8 pixels, which is enlarged, and a gap."""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory) -> Path:
    """Train a StyleGAN2 for two updates."""
    return trained(tmp_path_factory.mktemp("runs"), *TINY)


@pytest.fixture(scope="module")
def conditional(tmp_path_factory) -> Path:
    """Train a conditional StyleGAN2 for two updates."""
    folder = tmp_path_factory.mktemp("conditional")
    return trained(
        folder, *TINY, "network.generator_condition=concat",
        "network.discriminator_condition=projection", "network.num_classes=10",
        "model.num_classes=10",
    )  # fmt: skip


@pytest.fixture(scope="module")
def of_texts(tmp_path_factory) -> Path:
    """Train a StyleGAN2 that reads texts for two updates."""
    return trained(
        tmp_path_factory.mktemp("texts"), *TINY, "model/condition=text", "data=shapes",
        "data.captions=true", "data.image_shape=[3,8,8]", "data.source.num_train=80",
        "data.source.num_validation=8", "data.source.num_test=8", "~callbacks.captions",
    )  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """Train a VAE, which has no styles."""
    folder = tmp_path_factory.mktemp("plain")
    return trained(folder, "network=mlp", "callbacks.pictures.num_images=4")


@pytest.fixture
def sample(run_dir, tmp_path, monkeypatch, capsys):
    """Run `limner sample run=... WORDS` in an empty folder and return the lines that it prints."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str, run: Path = run_dir) -> list[str]:
        assert sample_command.run([f"run={run}", "device=cpu", *words]) == 0
        return capsys.readouterr().out.splitlines()

    return command


def images_in(path: str) -> np.ndarray:
    """Return the images in a labelled grid, uint8 (rows, columns, 8, 8)."""
    pixels = grid_of(Path(path))[..., 0]
    rows, columns = (size // CELL for size in pixels.shape)
    assert pixels.shape == (rows * CELL + 2, columns * CELL + 2)
    cells = pixels[2:, 2:].reshape(rows, CELL, columns, CELL)[:, :64, :, :64]
    return cells[:, 4::8, :, 4::8].transpose(0, 2, 1, 3)


def test_mixing_shows_the_samples_at_the_edges_and_their_mixed_styles_within(sample, run_dir):
    (path,) = sample("mode=mixing", "num_images=2", "seed=5", "layers=[1,2]", "to=mixed.png")
    images, styles = images_in(path), limner.load(run_dir, device="cpu").styles
    assert images.shape == (3, 3, 8, 8)
    w = styles.draw(4, seed=5)
    own = styles.paint(w)[..., 0]
    assert (images[0, 0] == 255).all()
    assert np.array_equal(images[0, 1:], own[2:])
    assert np.array_equal(images[1:, 0], own[:2])
    mixed = styles.paint(styles.mix(w[[1]], w[[2]], layers=[1, 2]))[0, ..., 0]
    assert np.abs(images[2, 1].astype(int) - mixed).max() <= 1
    assert not np.array_equal(images[2, 1], images[2, 2]), "a column has an effect"


def test_mixing_of_all_layers_repeats_the_sample_of_the_row(sample, run_dir):
    layers = ",".join(map(str, range(limner.load(run_dir, device="cpu").styles.num_layers)))
    (path,) = sample("mode=mixing", "num_images=2", f"layers=[{layers}]", "to=rows.png")
    images = images_in(path).astype(int)
    assert np.abs(images[1:] - images[1:, :1]).max() <= 1
    assert not np.array_equal(images[1], images[2])


def test_mixing_of_a_conditional_model_draws_the_classes_or_takes_them(sample, conditional):
    assert len(sample("mode=mixing", "num_images=2", "to=drawn.png", run=conditional)) == 1
    words = ["mode=mixing", "num_images=1", "truncation=0", "to=two.png"]
    (path,) = sample(*words, "labels=[3,4]", run=conditional)
    images, styles = images_in(path), limner.load(conditional, device="cpu").styles
    assert np.array_equal(images[0, 1], styles.paint(styles.mean(label=4)[None])[0, ..., 0])
    assert np.array_equal(images[1, 0], styles.paint(styles.mean(label=3)[None])[0, ..., 0])


def test_directions_are_rows_around_the_sample(sample, run_dir):
    words = ["mode=directions", "num_images=3", "num_steps=5", "seed=2", "truncation=0.7"]
    (path,) = sample(*words)
    assert Path(path) == run_dir / "directions_seed_2_truncation_0.7.png"
    images, styles = images_in(path), limner.load(run_dir, device="cpu").styles
    assert images.shape == (3, 5, 8, 8)
    own = styles.paint(styles.draw(1, seed=2, truncation=0.7))[0, ..., 0]
    assert np.abs(images[:, 2].astype(int) - own).max() <= 1
    directions, _ = styles.directions()
    start = styles.draw(1, seed=2, truncation=0.7)[0]
    end = styles.walk(start, directions[1:2], [1.0])[0, 0, ..., 0]
    assert np.abs(images[1, 4].astype(int) - end).max() <= 1
    few = sample(*words, "layers=[0]", "reach=0.5", "to=few.png")[0]
    assert not np.array_equal(images_in(few), images)


def test_projection_of_a_picture_writes_both_and_the_style(sample, run_dir, tmp_path):
    styles = limner.load(run_dir, device="cpu").styles
    w = 2 * styles.draw(1, seed=9)
    picture = Image.fromarray(styles.paint(w)[0, ..., 0])
    picture.resize((40, 24), Image.Resampling.NEAREST).convert("RGB").save("wide.png")
    line, *paths = sample("mode=project", "input=wide.png", "num_updates=20", "to=found")
    assert line.startswith("wide.png: perceptual distance 0.")
    assert paths == ["found.png", "found.pt"]
    ((target, projection, start),) = images_in(paths[0])
    found = torch.load("found.pt", weights_only=True)
    assert found.shape == (8,)
    assert np.array_equal(projection, styles.paint(found[None].numpy())[0, ..., 0])
    assert np.array_equal(start, styles.paint(styles.mean()[None])[0, ..., 0])
    errors = [np.square(image.astype(float) - target).mean() for image in (projection, start)]
    assert errors[0] < errors[1]
    assert target.std() > 0


def test_projection_of_a_conditional_model_needs_a_class(sample, conditional):
    Image.new("L", (8, 8), 99).save("grey.png")
    words = ["mode=project", "input=grey.png", "num_updates=2"]
    with pytest.raises(UserError, match="mode=project of a conditional model needs one class"):
        sample(*words, run=conditional)
    lines = sample(*words, "labels=[3]", "to=three.png", run=conditional)
    assert lines[1:] == ["three.png", "three.pt"]


def test_styles_of_texts_are_those_of_the_given_texts(sample, of_texts):
    words = ["mode=mixing", "num_images=1", "truncation=0", "to=two.png"]
    (path,) = sample(*words, "text=[a red circle,a blue star]", run=of_texts)
    images, styles = images_in(path), limner.load(of_texts, device="cpu").styles
    for cell, text in ((images[1, 0], "a red circle"), (images[0, 1], "a blue star")):
        own = styles.paint(styles.mean(text=text)[None])[0, ..., 0]
        assert np.abs(cell.astype(int) - own).max() <= 1
    with pytest.raises(UserError, match="mode=directions of a conditional model needs one text"):
        sample("mode=directions", run=of_texts)
    assert sample("mode=directions", "text=a red circle", "to=d.png", run=of_texts) == ["d.png"]


def test_truncation_reaches_all_modes_that_draw(sample, conditional):
    classes = sample("mode=classes", "num_images=3", "truncation=0", "to=c.png", run=conditional)
    images = grid_cells(Image.open(classes[0]))
    assert (images == images[:, :1]).all(), "one picture for each class"
    assert not (images[0] == images[1]).all()
    walk = ["mode=interpolate", "num_images=2", "num_steps=3", "labels=[1]", "truncation=0"]
    path, _ = sample(*walk, "to=w.png", run=conditional)
    steps = grid_cells(Image.open(path))
    assert (steps == steps[:, :1]).all()
    assert np.array_equal(steps[0, 0], images[1, 0])


def grid_cells(picture: Image.Image) -> np.ndarray:
    """Return the images in a grid without labels, uint8 (rows, columns, 8, 8)."""
    pixels = np.asarray(picture)[2:, 2:, 0]
    rows, columns = (size // CELL for size in pixels.shape)
    cells = pixels.reshape(rows, CELL, columns, CELL)[:, :64, :, :64]
    return cells[:, 4::8, :, 4::8].transpose(0, 2, 1, 3)


@pytest.mark.parametrize("mode", ["mixing", "directions", "project"])
def test_model_without_styles_is_refused_in_one_line(sample, plain, mode):
    with pytest.raises(UserError) as error:
        sample(f"mode={mode}", run=plain)
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"mode={mode}: VAE")
    assert line.endswith("has no styles; train a model with network=stylegan2.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mode=mixing", "layers=[99]"], r"layers=\[99\]: must be"),
        (["mode=directions", "layers=[]"], r"layers=\[\]: must be"),
        (["mode=mixing", "num_images=65"], "num_images=65: mode=mixing draws 64 rows at most"),
        (["mode=directions", "num_images=99"], "num_images=99: styles have .* directions"),
        (["mode=directions", "reach=nan"], "reach=nan: must be a finite number"),
        (["mode=mixing", "num_steps=4"], "num_steps has no effect on mode=mixing; mode=interpol"),
        (["mode=project", "layers=[0]"], "mode=mixing and directions read it"),
        (["mode=grid", "input=good.png"], "mode=project reads it"),
        (["mode=directions", "num_steps=1"], "num_steps=1: must be 2 or more"),
        (["mode=mixing", "truncation=-1"], "truncation=-1.0: must be 0 or more"),
        (["mode=project"], "needs a picture: input=FILE"),
        (["mode=project", "input=absent.png"], "input=absent.png cannot be read"),
        (["mode=project", "input=text.png"], "input=text.png is no whole picture"),
        (["mode=project", "input=good.png", "lr=0"], "lr=0.0: must be above 0"),
        (["mode=project", "input=good.png", "num_updates=-1"], "num_updates=-1: must be 0"),
    ],
)
def test_sample_names_mistakes_about_styles(sample, tmp_path, words, message):
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (8, 8), 99).save("good.png")
    with pytest.raises(UserError, match=message):
        sample(*words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.png", "text.png"]
