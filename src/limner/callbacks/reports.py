"""Reports of the objective during training, for a search."""

__all__ = ["Report", "Reports", "read_reports"]

import functools
import logging
import os
import re
from pathlib import Path
from typing import NamedTuple

import lightning as L

from limner.callbacks.measured import measured_of
from limner.warn_once import WarnOnce

log = logging.getLogger(__name__)

NAME = "reports.csv"
REPORT = re.compile(rb"[0-9]{1,18},-?(?:[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|inf|nan)\r?")
"""Pattern of a line: an epoch and a number as Python writes it."""


class Report(NamedTuple):
    """Value of the objective after a number of epochs."""

    epoch: int
    value: float


class Reports(L.Callback):
    """Callback that adds a line `epoch,value` to reports.csv after each measured epoch.

    Only values measured at the end of an epoch are reported, not values from within an epoch.

    Args:
        objective: Log key of the objective, such as `val/loss`.
    """

    def __init__(self, *, objective: str) -> None:
        self.objective = objective
        self.writing = WarnOnce("Writing reports.csv", OSError)

    def on_train_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        value = measured_of(trainer).at(trainer.global_step).get(self.objective)
        if value is None or not trainer.is_global_zero:
            return
        line = f"{trainer.current_epoch + 1},{value}\n"
        with self.writing():
            add_report(Path(trainer.default_root_dir, NAME), line)


def add_report(path: Path, line: str) -> None:
    """Add a line to a file, after a line feed if the last line of the file is incomplete."""
    with open(path, "ab+") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            line = line if file.read() == b"\n" else f"\n{line}"
        file.write(line.encode())


def read_reports(folder: Path) -> list[Report]:
    """Return the reports of a run, from its start and all resumes.

    Damaged lines are skipped, with one warning.
    """
    path = folder / NAME
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError:
        return []
    whole = [line for line in lines if REPORT.fullmatch(line)]
    if len(whole) < len([line for line in lines if line]):
        _say_damaged(path)
    pairs = (line.decode().split(",") for line in whole)
    return [Report(int(epoch), float(value)) for epoch, value in pairs]


@functools.cache
def _say_damaged(path: Path) -> None:
    log.warning("%s has damaged lines, which are left out.", path)
