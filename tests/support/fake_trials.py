"""A fake for `train.py`: a process that reports like a run and takes no time."""

import subprocess
import sys
from typing import IO

from limner.commands.search import command, storages, workers

CODE = """
import json, os, pathlib, sys, time
folder, rate, seconds = pathlib.Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
folder.mkdir(exist_ok=True)
if rate > 0.5:
    sys.exit("limner: train/loss is nan at update 20.")
(folder / "worker").write_text(str(os.getppid()))
for epoch in range(1, 6):
    with open(folder / "reports.csv", "a") as file:
        file.write(f"{epoch},{rate + 1 / epoch}\\n")
    time.sleep(seconds)
(folder / "config.yaml").write_text("metrics: {objective: {name: val/loss}}")
(folder / "scores.json").write_text(json.dumps({"val/loss": {"value": rate + 0.2}}))
"""
SECONDS = 0.05
begun: list[list[str]] = []


def start(words: list[str], *, resources: object, output: IO, **more: bool) -> subprocess.Popen:
    """Start a trial whose objective is its learning rate, and which diverges above 0.5."""
    begun.append(words)
    given = dict(word.split("=", 1) for word in words if "=" in word)
    folder = given["hydra.run.dir"].strip("'")
    arguments = [sys.executable, "-S", "-c", CODE, folder, given["optimizer.lr"], str(SECONDS)]
    return subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT)


def patch() -> None:
    """Make `limner search` of this process start such trials."""
    workers.start, workers.SECONDS = start, 0.02
    storages.HEARTBEAT, storages.GRACE = 1, 4
    command._rehearsed = lambda *args: {"val/loss", "val/kl"}


if __name__ == "__main__":
    patch()
    SECONDS = 0.2  # long enough that a killed worker holds a trial
    sys.exit(command.run(sys.argv[1:]))
