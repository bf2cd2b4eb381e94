"""A diverged run is rolled back and reported, with the same result whenever it was stopped."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from limner.callbacks.rollbacks import seed_after
from limner.callbacks.signals import SeedPerUpdate
from limner.commands.compare.runs import find
from limner.models import VAE
from support.runs import last_checkpoint

RUN = [
    "metrics=none", "logger=csv", "data.batch_size=64", "trainer.max_epochs=2",
    "callbacks.log.every_num_updates=1", "callbacks.checkpoints.every_num_updates=10",
    "on_divergence=rollback", "network=mlp", "~callbacks.pictures", "~callbacks.codes",
]  # fmt: skip
"""Two epochs of 22 updates, with checkpoints at 10, 20, 30, 40 and 44."""
LOST = 0.5
"""Seconds that the diverging step takes longer."""
BACK = "train/loss is nan at update 25: back to the checkpoint of update 20, with other random"


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def losses(folder: Path) -> list[tuple[str, str]]:
    return [(row["update"], row["train/loss"]) for row in rows(folder)]


def last(folder: Path) -> dict:
    return torch.load(last_checkpoint(folder), weights_only=True)


def stream(trainer) -> int:
    """Return the seed of the running updates."""
    (callback,) = (c for c in trainer.callbacks if isinstance(c, SeedPerUpdate))
    return callback.seed


def diverge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a VAE's loss NaN at update 25, if the run uses its original random numbers."""
    original = VAE.training_step

    def step(self, batch, batch_idx):
        values = original(self, batch, batch_idx)
        if self.global_step == 25 and stream(self.trainer) == 0:
            time.sleep(LOST)
            values["loss"] = values["loss"] * float("nan")
        return values

    monkeypatch.setattr(VAE, "training_step", step)


def once_back(monkeypatch: pytest.MonkeyPatch, update: int, action: Callable[[], object]) -> None:
    """Do something once before an update of a run that was rolled back."""
    original, left = SeedPerUpdate.on_train_batch_start, [action]

    def start(self, trainer, *arguments):
        if trainer.global_step == update and self.seed != 0 and left:
            left.pop()()
        return original(self, trainer, *arguments)

    monkeypatch.setattr(SeedPerUpdate, "on_train_batch_start", start)


@pytest.mark.slow
def test_diverged_run_is_rolled_back_and_reports_that(run, tmp_path, monkeypatch):
    """If anything stops the run afterwards, the resumed run is the same."""
    straight, whole, parts = tmp_path / "straight", tmp_path / "whole", tmp_path / "parts"
    assert run(*RUN, f"hydra.run.dir={straight}").code == 0
    diverge(monkeypatch)
    result = run(*RUN, f"hydra.run.dir={whole}")
    assert result.code == 0, result.err
    assert f"{BACK} numbers (rollback 1 of at most 3)." in result.out
    assert losses(whole)[:20] == losses(straight)[:20]
    assert [update for update, _ in losses(whole)] == [str(n) for n in range(1, 45)]
    assert all(a != b for a, b in zip(losses(whole)[20:], losses(straight)[20:], strict=True))
    seconds = [float(row["time/seconds"]) for row in rows(whole)]
    assert seconds == sorted(seconds)
    assert seconds[20] > seconds[19] + LOST, "the lost seconds are not counted"
    past = [{"why": "train/loss is nan", "update": 25, "to": 20}]
    assert last(whole)["callbacks"]["Rollbacks"] == {"past": past}
    assert find([str(whole)])[0].scores["val/loss"]["rollbacks"] == past
    assert find([str(straight)])[0].scores["val/loss"].keys() == {"value", "protocol"}

    def crash():
        raise RuntimeError("power cut")

    once_back(monkeypatch, 23, crash)  # stop before a checkpoint records the rollback
    with pytest.raises(RuntimeError, match="power cut"):
        run(*RUN, f"hydra.run.dir={parts}")
    assert last(parts)["callbacks"]["Rollbacks"] == {"past": []}
    once_back(monkeypatch, 33, lambda: os.kill(os.getpid(), signal.SIGTERM))
    stopped = run(f"resume={parts}")
    assert stopped.code == 1
    assert BACK in stopped.out
    assert "Stopped after update 34" in stopped.err
    assert run(f"resume={parts}").code == 0
    assert losses(parts) == losses(whole)
    assert (parts / "scores.json").read_text() == (whole / "scores.json").read_text()
    a, b = last(whole), last(parts)
    for key in ("state_dict", "optimizer_states"):
        torch.testing.assert_close(a[key], b[key], rtol=0, atol=0)
    assert b["callbacks"]["Rollbacks"] == {"past": past}


def test_run_that_diverges_repeatedly_stops(run, monkeypatch):
    """Rollbacks to the start, without a checkpoint, count too. Each try has another seed."""
    seeds, original = [], VAE.training_step

    def step(self, batch, batch_idx):
        values = original(self, batch, batch_idx)
        if self.global_step == 6:  # after the step
            seeds.append(stream(self.trainer))
            values["loss"] = values["loss"] * float("inf")
        return values

    monkeypatch.setattr(VAE, "training_step", step)
    result = run(*RUN, "max_rollbacks=2", "hydra.run.dir=run")
    assert result.code == 1
    assert seeds == [seed_after(0, n) for n in range(3)]
    assert len(set(seeds)) == 3
    assert result.out.count("with other random numbers (rollback") == 2
    assert "train/loss is inf at update 6, and max_rollbacks=2 are used up:" in result.err
    assert result.err.count("train/loss is inf at update 6: back to the start") == 2
    assert Path("run", "metrics.csv").exists()


def test_gan_with_exploding_logits_has_diverged(run):
    result = run("model=gan", "model/loss=wasserstein", "optimizer.lr=30.0", "metrics=none",
                 "callbacks.log.every_num_updates=1", "logger=none")  # fmt: skip
    assert result.code == 1
    assert "limner: train/logits_" in result.err
    assert "e+05 at update" in result.err
    assert "on_divergence=rollback" in result.err


@pytest.mark.slow
@pytest.mark.usefixtures("forking")
def test_two_processes_roll_back_together(tmp_path):
    """The processes stay: Lightning's launcher must not start others for the second trainer."""
    file = tmp_path / "mine" / "optimizer" / "stumbling.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("_target_: support.fakes.Stumbling\n_partial_: true\nlr: 1e-3\n")
    tests = Path(__file__).parents[1]
    paths = [str(tests), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    result = subprocess.run(
        [sys.executable, str(tests.parent / "train.py"), "--config-dir", "mine",
         "optimizer=stumbling", *RUN, "accelerator=ddp_cpu", "data.batch_size=32",
         "hydra.run.dir=run"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("back to the checkpoint of update 20") == 1
    folder = tmp_path / "run"
    assert [update for update, _ in losses(folder)] == [str(n) for n in range(1, 45)]
    assert last(folder)["callbacks"]["Rollbacks"]["past"][0]["to"] == 20
    assert json.loads((folder / "scores.json").read_text())["val/loss"]["rollbacks"]
