"""Whole runs on sequences of frames: exact resume, two processes, refusals; with a small model."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import limner
from support import clips, fakes
from test_picture_runs import difference, losses, weights

ROOT = Path(__file__).parents[1]
QUIET = ["accelerator=cpu", "logger=none", "~callbacks.progress"]
MODEL = """\
_target_: support.clips.{name}
optimizer: ${{optimizer}}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Write 12 sequences of 9 frames, and the configs of models of the tests."""
    clips.write_clips(tmp_path / "clips", 12, num_frames=9)
    for name in ("Watcher", "Alone"):
        file = tmp_path / "own" / "model" / f"{name.lower()}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(MODEL.format(name=name))
    tests = str(ROOT / "tests")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
    return tmp_path / "clips"


def words_of(folder: Path, *, batch_size: int = 4) -> list[str]:
    return [
        "--config-dir", "own", "model=watcher", "data=frame_folders", "metrics=loss",
        f"data.path={folder}", "data.image_size=8", f"data.batch_size={batch_size}",
        "data.num_inputs=3", "data.num_targets=2", "data/augmentation=flip",
    ]  # fmt: skip


def test_stopped_run_equals_the_uninterrupted_run_from_the_middle_of_an_epoch(run, folder):
    common = [*words_of(folder), *QUIET]
    whole = run(*common, "trainer.max_steps=5", "hydra.run.dir=whole")
    assert whole.code == 0, whole.err
    assert "10 train, 1 validation, 1 test sequence of 3 + 2 frames" in " ".join(whole.out.split())
    assert run(*common, "trainer.max_steps=3", "hydra.run.dir=parts").code == 0
    resumed = run("--config-dir", "own", "resume=parts", "trainer.max_steps=5")
    assert resumed.code == 0, resumed.err
    assert difference(weights("whole"), weights("parts")) == 0
    assert losses("whole") == losses("parts")
    assert run(*common, "seed=1", "trainer.max_steps=5", "hydra.run.dir=other").code == 0
    assert difference(weights("whole"), weights("other")) > 1e-5, "the comparison can fail"
    clips.write_frames(folder / "clip_3", 9, number=1)
    changed = run("--config-dir", "own", "resume=parts", "trainer.max_steps=6")
    assert "training images of frame_folders differ" in changed.err


@pytest.mark.usefixtures("forking")
@pytest.mark.parametrize("data", ["frame_folders", "moving_shapes"])
def test_two_processes_equal_one(run, tmp_path, folder, data):
    words = [*words_of(folder, batch_size=2), "trainer.max_steps=4", *QUIET]
    if data == "moving_shapes":
        words = [word for word in words if not word.startswith("data.path")]
        words = ["data=moving_shapes" if w.startswith("data=") else w for w in words]
        words.append("data.source.shapes.num_validation=4")
    ended = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words, "accelerator=ddp_cpu",
         "hydra.run.dir=two"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert run(*words, "data.batch_size=4", "hydra.run.dir=one").code == 0
    assert difference(weights("one"), weights("two")) < 1e-5


FITS_FRAMES = "one of data=frame_folders, moving_mnist, moving_shapes"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=watcher", "data=digits"], f"has single images;\nchoose {FITS_FRAMES}"),
        (["model=watcher", "data=restoration", "data.path=clips", "data.crop_size=8"],
         FITS_FRAMES),
        (["model=watcher", "data=shapes_styles"], FITS_FRAMES),
        (["model=vae", "data=moving_shapes"], "VAE reads single images, and data=moving_shapes"),
        (["model=gan", "data=moving_shapes"], "such as data=image_folder"),
        (["model=classifier", "data=moving_shapes"], "needs labels"),
        (["model=restoration", "data=moving_shapes"], "reads an input beside each image"),
        (["model=cyclegan", "data=moving_shapes"], "two domains"),
        (["model=alone", "data=moving_shapes"], "reads_frames = True"),
        (["model=watcher", "data=frame_folders", "data.path=gone"], "gone does not exist"),
        (["model=watcher", "data=frame_folders", "data.path=clips", "data.num_targets=10"],
         "12 of 12 sequences have fewer than the data.num_frames=20 frames"),
        (["model=watcher", "data=moving_shapes", "data.num_inputs=many"], "data.num_inputs"),
        (["model=watcher", "data=moving_shapes", "data.batch_size=20000"],
         "there are only 10000"),
        (["model=watcher", "data=moving_mnist", "data.root=mnist", "data.image_size=28"],
         "must be above 28, the size of a digit"),
        (["model=watcher", "data=moving_mnist", "data.root=mnist", "data.test_file=gone.npy"],
         "gone.npy cannot be read"),
    ],
)  # fmt: skip
def test_model_and_data_that_do_not_fit_are_refused_before_training(
    run, tmp_path, folder, words, message
):
    fakes.mnist(tmp_path / "mnist")
    result = run("--config-dir", "own", *words, *QUIET)
    assert result.code == 1
    assert message in result.err
    assert len(result.err.strip().splitlines()) <= 5
    assert not Path("outputs").exists()


def test_model_trains_on_moving_mnist_of_the_users_files(run, tmp_path, folder):
    fakes.mnist(tmp_path / "mnist")
    result = run(
        "--config-dir", "own", "model=watcher", "data=moving_mnist", "metrics=loss", *QUIET,
        "data.root=mnist", "data.num_inputs=2", "data.num_targets=1", "trainer.max_steps=2",
        "+model.channels=1", "data.source.num_validation=8",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "10,000 train, 8 validation, 10,000 test sequences of 2 + 1 frames of 1x64x64" in (
        " ".join(result.out.split())
    )


def test_moving_mnist_opened_in_python_gives_its_frames(tmp_path):
    fakes.mnist(tmp_path)
    data = limner.open_data("moving_mnist", root=str(tmp_path), num_digits=3, num_targets=2)
    for split in ("train", "validation", "test"):
        store, indices = data.split(split)
        assert store.gather(indices[:2]).shape == (2, 12, 1, 64, 64)
    pixels = store.gather(torch.arange(50)) > 0
    assert pixels.float().sum((2, 3, 4)).max() > 2 * 28 * 28 * 0.9, "three digits"
