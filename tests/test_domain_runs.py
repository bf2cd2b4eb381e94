"""Whole runs on two domains: exact resume, two processes, refusals; with a small model."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import limner
from support import fakes
from test_picture_runs import difference, losses, weights

ROOT = Path(__file__).parents[1]
QUIET = ["accelerator=cpu", "logger=none", "~callbacks.progress", "~callbacks.strips"]
MODEL = """\
_target_: support.domains.{name}
optimizer: ${{optimizer}}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Write two domains of 10 and 14 pictures, and the configs of models of the tests."""
    for domain, number in (("A", 10), ("B", 14)):
        fakes.images(tmp_path / "both" / domain, number, size=(14, 12))
    for name in ("Translator", "Alone"):
        file = tmp_path / "own" / "model" / f"{name.lower()}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(MODEL.format(name=name))
    tests = str(ROOT / "tests")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
    return tmp_path / "both"


def words_of(folder: Path, *, batch_size: int = 4) -> list[str]:
    return [
        "--config-dir", "own", "model=translator", "data=unpaired_folders", "metrics=loss",
        f"data.path={folder}", "data.crop_size=8", f"data.batch_size={batch_size}",
        "data.validation_fraction=0.4", "data.hidden_pairs=true",
    ]  # fmt: skip


def test_stopped_run_equals_the_uninterrupted_run_from_the_middle_of_an_epoch(run, folder):
    common = [*words_of(folder), *QUIET]
    whole = run(*common, "trainer.max_steps=5", "hydra.run.dir=whole")
    assert whole.code == 0, whole.err
    assert "6 and 10 train, 4 and 4 validation pictures" in " ".join(whole.out.split())
    assert run(*common, "trainer.max_steps=3", "hydra.run.dir=parts").code == 0
    resumed = run("--config-dir", "own", "resume=parts", "trainer.max_steps=5")
    assert resumed.code == 0, resumed.err
    assert difference(weights("whole"), weights("parts")) == 0
    assert losses("whole") == losses("parts")
    assert run(*common, "seed=1", "trainer.max_steps=5", "hydra.run.dir=other").code == 0
    assert difference(weights("whole"), weights("other")) > 1e-5, "the comparison can fail"
    moved = folder.rename(folder.parent / "moved")
    more = ["--config-dir", "own", "resume=parts", "trainer.max_steps=6", f"data.path={moved}"]
    (moved / "A" / "0003.png").rename("kept.png")
    changed = run(*more)
    assert "training images of unpaired_folders, domain a, differ" in changed.err
    Path("kept.png").rename(moved / "A" / "0003.png")
    again = run(*more)
    assert again.code == 0, again.err


@pytest.mark.usefixtures("forking")
def test_two_processes_equal_one(run, tmp_path, folder):
    words = [*words_of(folder, batch_size=2), "trainer.max_steps=4", *QUIET]
    ended = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words, "accelerator=ddp_cpu",
         "hydra.run.dir=two"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert run(*words, "data.batch_size=4", "hydra.run.dir=one").code == 0
    assert difference(weights("one"), weights("two")) < 1e-5
    one, two = losses("one"), losses("two")
    assert one.keys() == two.keys() >= {"val/loss"}
    assert all(abs(one[name] - two[name]) < 1e-5 for name in one)


FITS_INPUTS = "choose one of data=paired_folder, "
FITS_DOMAINS = "data=shapes_styles, unpaired_folders"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=restoration", "data=shapes_styles"], FITS_INPUTS),
        (["model=super_resolution", "data=shapes_styles"], FITS_INPUTS),
        (["model=translator", "data=digits"], FITS_DOMAINS),
        (["model=translator", "data=restoration", "data.path=both"], FITS_DOMAINS),
        (["model=vae", "data=shapes_styles"], "VAE reads one set of images"),
        (["model=gan", "data=shapes_styles"], "such as data=image_folder"),
        (["model=classifier", "data=shapes_styles"], "needs labels"),
        (["model=alone", "data=shapes_styles"], "reads_domains = True"),
        (["model=translator", "data=unpaired_folders", "data.path=both", "data.folder_a=C"],
         "both has no pictures in such a folder.\nIts folders: A, B"),
        (["model=translator", "data=unpaired_folders", "data.path=both", "data.folder_b=A"],
         "must be different folders"),
        (["model=translator", "data=unpaired_folders", "data.path=both", "data.path_b=gone"],
         "gone does not exist"),
        (["model=translator", "data=unpaired_folders", "data.path=both", "data.crop_size=13"],
         "Choose a data.crop_size of 12"),
        (["model=translator", "data=shapes_styles", "data.batch_size=6000"],
         "there are only 5000"),
        (["model=translator", "data=shapes_styles", "data.group=("], "no regular expression"),
        (["model=translator", "data=shapes_styles", "data.store=streamed"], "choose auto"),
    ],
)  # fmt: skip
def test_model_and_data_that_do_not_fit_are_refused_before_training(run, folder, words, message):
    result = run("--config-dir", "own", *words, *QUIET)
    assert result.code == 1
    assert message in result.err
    assert len(result.err.strip().splitlines()) <= 3
    assert not Path("outputs").exists()


def test_domains_opened_in_python_give_their_batches(folder):
    data = limner.open_data("unpaired_folders", path=str(folder), crop_size=8, num_channels=1)
    store, indices = data.domain("a", "train")
    assert store.gather(indices).shape == (9, 1, 8, 8)
