"""Runs that are stopped and resumed, and the files in their folders afterwards."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

import limner
from limner.runs.status import read_status
from limner.version import FORMAT
from support.runs import content

ROOT = Path(__file__).parents[2]
COMMON = [
    "metrics=none", "logger=csv", "accelerator=cpu", "callbacks.log.every_num_updates=1",
    "callbacks.checkpoints.every_num_updates=5", "network=mlp", "~callbacks.pictures",
    "~callbacks.codes",
]  # fmt: skip


def updates(folder: Path) -> list[int]:
    with open(folder / "metrics.csv", newline="") as file:
        return [int(row["update"]) for row in csv.DictReader(file)]


def newest(folder: Path) -> Path:
    """Return the checkpoint to resume from."""
    found = [path for path in (folder / "checkpoints").glob("*.ckpt") if path.stem != "best"]
    return max(found, key=lambda path: path.name)


def crashing(monkeypatch: pytest.MonkeyPatch, update: int) -> None:
    """Make the training of a VAE fail before this update."""
    from limner.models import VAE

    original = VAE.training_step

    def step(self, *arguments):
        if self.global_step == update:
            raise RuntimeError("out of memory\nand more")
        return original(self, *arguments)

    monkeypatch.setattr(VAE, "training_step", step)


@pytest.mark.slow
def test_repeated_command_ends_with_one_finished_run(run, monkeypatch):
    command, folder = (
        [*COMMON, "trainer.max_steps=12", "resume=auto", "hydra.run.dir=run"],
        Path("run"),
    )
    with monkeypatch.context() as patch:
        crashing(patch, 7)
        with pytest.raises(RuntimeError, match="out of memory"):
            run(*command)
    status = read_status(folder)
    assert (status.state, status.update, status.error) == ("failed", 7, "out of memory")

    second = run(*command)
    assert second.code == 0, second.err
    assert "resume=auto: resuming run" in second.out
    status = read_status(folder)
    assert (status.state, status.update, status.starts) == ("finished", 12, 2)
    assert status.error is None
    assert updates(folder) == list(range(1, 13))
    assert (folder / "environment.txt").read_text().count("command: ") == 2
    kept = yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_text())
    assert kept == [*COMMON, "trainer.max_steps=12"]
    assert yaml.safe_load((folder / ".hydra" / "config.yaml").read_text())["resume"] is None
    saved = torch.load(newest(folder), weights_only=True)
    assert saved["limner"] == {
        "version": limner.__version__, "format": FORMAT, "batch_size": 64, "world_size": 1,
        "num_updates": 12,
    }  # fmt: skip

    before = content(folder)
    third = run(*command)
    assert third.code == 0
    assert "resume=auto: the run in run has finished, at update 12." in third.out
    for refused, message in (
        (["resume=run", "optimizer.lr=0.1"], "optimizer.lr: 0.001 -> 0.1"),
        ([*command, "seed=1"], "seed: 0 -> 1"),
        (["resume=run", "trainer.max_steps=11"], "the run is at update 12 already"),
        (["resume=run", "data.memory_limit_gib=much"], "must be a number, not text"),
    ):
        result = run(*refused)
        assert result.code == 1
        assert message in result.err
    assert content(folder) == before, "a finished run and a refused command change no file"


def test_checkpoint_of_a_newer_version_is_refused(run, monkeypatch):
    assert run(*COMMON, "trainer.max_steps=2", "hydra.run.dir=run").code == 0
    Path("run/status.json").unlink()  # The status file would be refused earlier.
    before = content(Path("run"))
    monkeypatch.setattr("limner.version.__version__", "0.0.1")
    result = run("resume=run", "trainer.max_steps=3")
    assert result.code == 1
    assert f".ckpt was made by limner {limner.__version__}; this is limner 0.0.1" in result.err
    assert content(Path("run")) == before


@pytest.mark.slow
@pytest.mark.usefixtures("forking")
def test_two_processes_resume_the_run_that_auto_found(run, tmp_path):
    """The first process replaces resume=auto by resume=FOLDER for the second process."""
    assert run(*COMMON, "trainer.max_steps=3", "data.batch_size=32", "hydra.run.dir=run").code == 0
    environment = {key: value for key, value in os.environ.items() if key != "LOCAL_RANK"}
    result = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *COMMON, "trainer.max_steps=5", "resume=auto",
         "data.batch_size=32", "hydra.run.dir=run", "trainer.devices=2"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False, env=environment,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("resuming run") == 1
    assert updates(Path("run")) == [1, 2, 3, 4, 5]
    assert (read_status(Path("run")).state, read_status(Path("run")).update) == ("finished", 5)
    assert torch.load(newest(Path("run")), weights_only=True)["limner"]["world_size"] == 2


@pytest.mark.slow
@pytest.mark.usefixtures("forking")
def test_torchrun_with_another_number_of_processes_is_refused(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2",
         str(ROOT / "train.py"), *COMMON],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert result.returncode != 0
    assert "torchrun started 2 processes, but trainer.num_nodes=1 x trainer.devices=1 make 1." in (
        result.stderr
    )
    assert "Choose trainer.num_nodes=1 trainer.devices=2" in result.stderr
    assert "VAE of" not in result.stdout
    # torchrun may kill the slower process before this process removes the folder that Hydra made
    assert not list(tmp_path.rglob("status.json"))


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_run_in_another_precision_resumes_to_the_bit(run, precision):
    words = [
        *COMMON, "model=vae", f"trainer.precision={precision}", "data.batch_size=8", "logger=none",
        "trainer.limit_val_batches=1",
    ]  # fmt: skip
    assert run(*words, "trainer.max_steps=4", "hydra.run.dir=whole").code == 0
    assert run(*words, "trainer.max_steps=2", "hydra.run.dir=parts").code == 0
    assert run("resume=parts", "trainer.max_steps=4").code == 0
    whole, parts = (
        torch.load(newest(Path(name)), weights_only=True)["state_dict"]
        for name in ("whole", "parts")
    )
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name
