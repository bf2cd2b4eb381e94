"""The end of training when the objective has not improved for a number of scorings."""

__all__ = ["EarlyStopping"]

import logging
import math
from collections.abc import Mapping
from typing import Any

import lightning as L

log = logging.getLogger(__name__)


class EarlyStopping(L.Callback):
    """Callback that ends training after `patience` scorings in a row without an improvement.

    A scoring is one measurement of the objective. A score of samples is measured every
    `metrics.every_num_epochs` epochs, and a validation loss in each validation. A scoring of nan
    is no improvement. The count is in every checkpoint, so a resumed run stops at the same update.

    Args:
        objective: Value that must improve, as {name, mode: min or max}.
        patience: Number of scorings without an improvement after which training ends, at least 1.
        min_delta: Smallest difference from the best value that counts as an improvement, at least
            0, in the unit of the objective.
    """

    def __init__(
        self, *, objective: Mapping[str, str] | None, patience: int, min_delta: float
    ) -> None:
        if objective is None:
            raise ValueError(
                "callbacks.early_stopping needs an objective, and these metrics have none: choose "
                "other metrics=..., or callbacks=default."
            )
        if patience < 1:
            raise ValueError(
                f"callbacks.early_stopping.patience={patience}: must be 1 or more scorings."
            )
        if min_delta < 0:
            raise ValueError(f"callbacks.early_stopping.min_delta={min_delta}: must be 0 or more.")
        self.objective, self.patience, self.min_delta = objective, patience, min_delta
        self.best: float | None = None
        self.num_worse = 0
        """Number of scorings since the best scoring."""
        self._update: int | None = None  # update of the last counted scoring

    def on_train_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if self.num_worse >= self.patience:  # resumed after the end was decided
            trainer.should_stop = True

    def on_measured(self, trainer: L.Trainer, values: Mapping[str, float]) -> None:
        """Count a scoring once per update, and ask for the end of training if it is due."""
        value, update = values.get(self.objective["name"]), trainer.global_step
        if value is None or update == self._update:
            return
        self._update = update
        if self._is_better(value):
            self.best, self.num_worse = value, 0
            return
        self.num_worse += 1
        due = self.num_worse >= self.patience
        if trainer.strategy.reduce_boolean_decision(due, all=False):
            trainer.should_stop = True
            log.info(
                "Training ends at update %d: %s has not improved in %d scorings. The best is %s.",
                update, self.objective["name"], self.num_worse, _shown(self.best),
            )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "num_worse": self.num_worse, "update": self._update}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.best, self.num_worse = state_dict["best"], state_dict["num_worse"]
        self._update = state_dict["update"]

    def _is_better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        sign = 1 if self.objective["mode"] == "min" else -1
        return self.best is None or sign * value < sign * self.best - self.min_delta


def _shown(best: float | None) -> str:
    return "none" if best is None else f"{best:.4g}"
