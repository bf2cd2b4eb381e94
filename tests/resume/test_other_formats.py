"""Runs that another version saved are refused in one line and stay unchanged."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from limner.runs.newest_checkpoint import newest
from limner.version import FORMAT
from support.runs import trained

SAVED = Path(__file__).parents[1] / "saved" / "gan_run"
COMMAND = ("model=gan", "network=mlp", "metrics=none", "logger=csv", "trainer.max_steps=40")


@pytest.fixture
def saved(tmp_path, monkeypatch) -> Path:
    """Return a copy of the unfinished run of commit 66a6948, where new runs of its model go."""
    monkeypatch.chdir(tmp_path)
    folder = Path("outputs/gan_digits/old")
    shutil.copytree(SAVED, folder)
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(status | {"state": "stopped"}))
    return folder


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "words",
    [
        ["resume=outputs/gan_digits/old", "trainer.max_steps=40"],
        [*COMMAND, "resume=auto", "hydra.run.dir=outputs/gan_digits/old"],
    ],
    ids=["resume=DIR", "resume=auto in DIR"],
)
def test_resume_refuses_another_format_in_one_line(saved, run, words):
    before = contents(saved)
    result = run(*words)
    assert result.code == 1
    assert len(result.err.strip().splitlines()) == 1
    assert f"(format 1, here {FORMAT})" in result.err
    assert "begin a new run in another folder" in result.err
    assert contents(saved) == before


@pytest.mark.slow
def test_resume_refuses_another_format_of_the_checkpoint_alone(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    folder = trained(tmp_path / "run", "model=vae")
    assert torch.load(newest(folder), weights_only=True)["limner"]["format"] == FORMAT
    monkeypatch.setattr("limner.version.FORMAT", FORMAT + 1)
    (folder / "status.json").unlink()
    result = run(f"resume={folder}", "trainer.max_steps=4")
    assert result.code == 1
    assert f"(format {FORMAT}, here {FORMAT + 1})" in result.err


def test_automatic_resume_names_a_run_of_another_format_and_starts_a_new_one(saved, run):
    before = contents(saved)
    result = run(*COMMAND[:-1], "trainer.max_steps=1", "resume=auto")
    assert result.code == 0
    assert "only the version of limner that" in result.err + result.out
    assert contents(saved) == before
