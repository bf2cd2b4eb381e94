"""Tells a search, while a run is trained, how good it is so far."""

__all__ = ["Report", "Reports", "read_reports"]

from pathlib import Path
from typing import NamedTuple

import lightning as L

from limner.callbacks.measured import measured_of
from limner.tolerance import Tolerance

NAME = "reports.csv"


class Report(NamedTuple):
    """The objective's value after so many epochs."""

    epoch: int
    value: float


class Reports(L.Callback):
    """Adds a line `epoch,value` to reports.csv after each epoch whose end was measured.

    A value of the middle of an epoch is not the epoch's, and is left out.

    Args:
        objective: Its name, as `val/loss`.
    """

    def __init__(self, *, objective: str) -> None:
        self.objective = objective
        self._files = Tolerance("Writing reports.csv", OSError)

    def on_train_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        value = measured_of(trainer).at(trainer.global_step).get(self.objective)
        if value is None or not trainer.is_global_zero:
            return
        with self._files(), open(Path(trainer.default_root_dir, NAME), "a") as file:
            file.write(f"{trainer.current_epoch + 1},{value}\n")


def read_reports(folder: Path) -> list[Report]:
    """What a run has reported, also before it was gone on with; whole lines only."""
    try:
        lines = (folder / NAME).read_text().split("\n")[:-1]
    except OSError:
        return []
    pairs = (line.partition(",") for line in lines)
    return [Report(int(epoch), float(value)) for epoch, _, value in pairs]
