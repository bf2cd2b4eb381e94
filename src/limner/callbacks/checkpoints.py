"""Checkpoints of training: when to write them, which to keep, and failures to write."""

__all__ = ["AGREE_EVERY", "Checkpoints", "check_last"]

import logging
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.strategies import Strategy

from limner.callbacks.divergence import check_weights
from limner.callbacks.epochs import is_last_epoch, is_measured
from limner.callbacks.measured import Measures, measured_of
from limner.errors import UserError
from limner.runs.checkpoints import best_path, read, tidy, update_path

log = logging.getLogger(__name__)

AGREE_EVERY = 8
"""Number of updates between two common checks of several processes for signals and time.

In a common check the processes wait for each other, so there is no check at every update.
"""
MAX_SHARE = 0.02
"""Largest share of the time spent on checkpoints that are due by `every_num_minutes`."""


class Checkpoints(L.pytorch.callbacks.Checkpoint):
    """Callback that keeps the last checkpoints, named after their updates, and the best.

    A checkpoint is written after `every_num_updates` updates or `every_num_minutes` minutes,
    whichever comes first, and at the end of training. If a checkpoint cannot be written, a warning
    is logged, the newest checkpoint stays, and training continues. On a full disk, older
    checkpoints are removed first (`AtomicCheckpointIO`).

    Args:
        every_num_updates: Largest number of updates between two checkpoints, at least 1.
        every_num_minutes: Largest number of minutes between two checkpoints. This interval is
            extended if writing the last checkpoint took more than 2 % of it.
        keep_last: Number of checkpoints to keep beside the best, at least 1. An older checkpoint
            is removed after a newer checkpoint is complete.
        objective: Value by which best.ckpt is chosen whenever the value is measured, as
            {name, mode: min or max}; None for no best.ckpt.
    """

    def __init__(
        self,
        *,
        every_num_updates: int,
        every_num_minutes: float,
        keep_last: int,
        objective: Mapping[str, str] | None,
    ) -> None:
        if every_num_updates < 1:
            raise ValueError("callbacks.checkpoints.every_num_updates must be 1 or more.")
        if keep_last < 1:
            raise ValueError("callbacks.checkpoints.keep_last must be 1 or more.")
        self.every_num_updates, self.every_num_minutes = every_num_updates, every_num_minutes
        self.keep_last, self.objective = keep_last, objective
        self.best: float | None = None
        self._has_validated = False
        self.failure: str | None = None
        """Reason why the last attempt to write a checkpoint failed; None if it succeeded."""
        self._time, self._cost = time.monotonic(), 0.0  # end and duration of the last attempt, s
        self._update = 0  # update of the last attempt
        self.last_whole = 0  # update of the last checkpoint that was written; 0 for none

    def on_train_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        update = trainer.global_step
        _check_agreement(update, trainer.strategy)
        self._time, self._update, self.last_whole = time.monotonic(), update, update
        if is_measured(trainer):
            self._update -= 1  # replace the checkpoint of this update when measuring is done
        self.failure = None
        path = best_path(_folder(trainer))
        if update > 0 and path.exists():  # resumed
            try:
                self.best = read(path)["callbacks"][self.state_key]["best"]
            except UserError as error:
                self.best = None
                log.warning("%s The next best checkpoint replaces it.", error)

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        # if values are still to be measured, the hooks below save the checkpoint with the values
        if not is_measured(trainer) and self._is_due(trainer):
            self.save_last(trainer)

    def on_validation_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._warn_of_objective(trainer)
        if trainer.fit_loop.epoch_end_is_due:
            return  # scores follow, and then on_train_epoch_end saves
        self._save_best(trainer)
        if self._is_due(trainer):
            self.save_last(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._save_best(trainer)
        if is_last_epoch(trainer) or self._is_due(trainer):
            self.save_last(trainer)

    def save_last(self, trainer: L.Trainer) -> bool:
        """Write the checkpoint of the current update, unless that was tried before.

        Every process must call this method.

        Returns:
            Whether the checkpoint exists; the same in every process.
        """
        update, folder = trainer.global_step, _folder(trainer)
        if update != self._update:
            start = time.monotonic()
            self.failure = self._save(trainer, update_path(folder, update))
            if self.failure is None:
                if trainer.is_global_zero:
                    self._tidy(folder, update)
                self.last_whole = update
            self._time, self._update = time.monotonic(), update
            self._cost = self._time - start
        return self.failure is None

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def _is_due(self, trainer: L.Trainer) -> bool:
        update, every = trainer.global_step, self.every_num_updates
        if update // every > self._update // every:
            return True
        wait = max(60 * self.every_num_minutes, self._cost / MAX_SHARE)
        late = time.monotonic() - self._time > wait
        if trainer.world_size == 1:
            return late
        asked = update % AGREE_EVERY == 0
        return asked and trainer.strategy.reduce_boolean_decision(late, all=False)

    def _save_best(self, trainer: L.Trainer) -> None:
        before = self.best
        if self._has_improved(trainer) and self._save(trainer, best_path(_folder(trainer))):
            self.best = before  # best.ckpt still has the earlier value

    def _warn_of_objective(self, trainer: L.Trainer) -> None:
        """Log a warning after the first validation if nothing seems to measure the objective."""
        if self.objective is None or self._has_validated:
            return
        self._has_validated, name = True, self.objective["name"]
        measured = measured_of(trainer).at(trainer.global_step)
        scores = {each for c in trainer.callbacks if isinstance(c, Measures) for each in c.names}
        if measured and not {name, name.removesuffix("_std")} & (measured.keys() | scores):
            log.warning(
                "metrics.objective.name=%s was not measured by the first validation, so there may "
                "be no best checkpoint. There are: %s.",
                name, ", ".join(sorted(measured.keys() | scores)),
            )  # fmt: skip

    def _has_improved(self, trainer: L.Trainer) -> bool:
        """Return whether the objective was measured at the current update and is the best."""
        if self.objective is None:
            return False
        value = measured_of(trainer).at(trainer.global_step).get(self.objective["name"])
        if value is None or math.isnan(value):
            return False
        sign = 1 if self.objective["mode"] == "min" else -1
        if self.best is not None and sign * value >= sign * self.best:
            return False
        self.best = value
        return True

    def _save(self, trainer: L.Trainer, path: Path) -> str | None:
        """Write a checkpoint; return None, or in every process the reason of a failure."""
        check_weights(trainer.lightning_module, trainer.global_step)
        for logger in trainer.loggers:
            logger.save()  # logged values must be on disk before the checkpoint that follows them
            if trainer.is_global_zero and hasattr(logger, "sync"):
                logger.sync()
        trainer.save_checkpoint(path)
        error = trainer.strategy.checkpoint_io.failure
        if trainer.strategy.reduce_boolean_decision(error is None, all=True):
            return None
        if trainer.strategy.broadcast(isinstance(error, UserError)):  # the folder is another run's
            trainer.loggers = []
            raise UserError("Stopped by the first process.") if error is None else error
        reason = "" if error is None else error.strerror or str(error)
        log.warning(
            "The checkpoint %s could not be written (%s). Training continues, and %s.",
            path, reason, self._what_stays(path),
        )  # fmt: skip
        return reason

    def _what_stays(self, path: Path) -> str:
        """Describe, for a warning, the checkpoint that stays after a failure to write `path`."""
        if path.name == "best.ckpt":
            return "the old best.ckpt stays" if path.exists() else "there is no best.ckpt yet"
        if self.last_whole == 0:
            return "there is no earlier checkpoint"
        return f"{update_path(path.parent, self.last_whole).name} stays"

    def _tidy(self, folder: Path, update: int) -> None:
        try:
            tidy(folder, update=update, since=self.last_whole, keep_last=self.keep_last)
        except OSError as error:
            log.warning("An older checkpoint cannot be removed: %s", error)


def check_last(trainer: L.Trainer) -> None:
    """Raise `UserError` if training is over and its last checkpoint does not exist."""
    for callback in trainer.callbacks:
        if not isinstance(callback, Checkpoints):
            continue
        folder = _folder(trainer)
        if callback.failure is not None:
            raise UserError(
                "Training is over, but its last checkpoint could not be written ("
                f"{callback.failure}).\n"
                "To resume from the previous checkpoint when the disk has room: resume="
                f"{os.path.relpath(folder)}"
            )
        update = callback.last_whole
        if trainer.is_global_zero and update and not update_path(folder, update).exists():
            raise UserError(
                f"Training is over, but its last checkpoint, of update {update}, was deleted "
                f"meanwhile in {folder}."
            )


def _folder(trainer: L.Trainer) -> Path:
    return Path(trainer.default_root_dir)


def _check_agreement(update: int, strategy: Strategy) -> None:
    """Raise `UserError` in every process if the processes resume from different checkpoints."""
    first = strategy.broadcast(update)
    if not strategy.reduce_boolean_decision(update == first, all=True):
        raise UserError(
            "The processes resume from different checkpoints: the first process from update "
            f"{first}, this process from {update}. All nodes must see the same files in the run "
            "folder."
        )
