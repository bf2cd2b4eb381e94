"""Tells a search, while a run is trained, how good it is so far."""

__all__ = ["Report", "Reports", "read_reports"]

from pathlib import Path
from typing import NamedTuple

import lightning as L

from limner.callbacks.scores import Scores
from limner.tolerance import Tolerance

NAME = "reports.csv"


class Report(NamedTuple):
    """The objective's value after so many epochs."""

    epoch: int
    value: float


class Reports(L.Callback):
    """Adds a line `epoch,value` to reports.csv whenever the objective has been computed.

    Args:
        objective: Its name, as `val/loss`.
    """

    def __init__(self, *, objective: str) -> None:
        self.objective = objective
        self.writing = Tolerance("Writing reports.csv", OSError)

    def on_train_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        value = trainer.callback_metrics.get(self.objective)
        if value is None or not trainer.is_global_zero:
            return
        for callback in trainer.callbacks:  # whose scores of earlier epochs stay
            entry = callback.latest.get(self.objective) if isinstance(callback, Scores) else None
            if entry is not None and entry["protocol"]["update"] != trainer.global_step:
                return
        with self.writing(), open(Path(trainer.default_root_dir, NAME), "a") as file:
            file.write(f"{trainer.current_epoch + 1},{float(value)}\n")


def read_reports(folder: Path) -> list[Report]:
    """What a run has reported, also before it was gone on with; whole lines only."""
    try:
        lines = (folder / NAME).read_text().split("\n")[:-1]
    except OSError:
        return []
    pairs = (line.partition(",") for line in lines)
    return [Report(int(epoch), float(value)) for epoch, _, value in pairs]
