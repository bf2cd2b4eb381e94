"""When checkpoints are written, which of them stay, and what happens when a disk takes none."""

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
from limner.callbacks.measured import measured_of
from limner.errors import UserError
from limner.runs.checkpoints import best_path, read, tidy, update_path

log = logging.getLogger(__name__)

AGREE_EVERY = 8
"""Updates between the questions of several processes about signals and time: asking is waiting."""
MAX_SHARE = 0.02
"""Of the time, at most, that goes into checkpoints by the clock."""


class Checkpoints(L.pytorch.callbacks.Checkpoint):
    """Keeps the last few checkpoints, named after their updates, and the best by the objective.

    Where one cannot be written, a warning is given, the newest one stays, and training goes on.
    On a full disk the older ones are given up first (`AtomicCheckpointIO`).

    Args:
        every_num_updates: Interval between two checkpoints,
        every_num_minutes: or this time, whichever is over first; both also at the end. By this
            clock none is written while the last one's writing was more than 2 % of the time since.
        keep_last: How many stay beside the best; an older one goes when a newer one is whole.
        objective: {name, mode: min or max}: the value that best.ckpt is chosen by, whenever it is
            measured; or None.
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
        self.failure: str | None = None
        """Why the last checkpoint that was tried is not there, or None if it is."""
        self._time, self._cost = time.monotonic(), 0.0  # seconds: when it was, how long it took
        self._update = 0  # of the last one that was tried
        self.last_whole = 0  # update of the last one that is there; 0 for none

    def on_train_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        update = trainer.global_step
        _check_agreement(update, trainer.strategy)
        self._time, self._update, self.last_whole = time.monotonic(), update, update
        if is_measured(trainer):
            self._update -= 1  # the checkpoint of this update is to be replaced when that is done
        self.failure = None
        path = best_path(_folder(trainer))
        if update > 0 and path.exists():  # resumed
            try:
                self.best = read(path)["callbacks"][self.state_key]["best"]
            except UserError as error:
                self.best = None
                log.warning("%s The best from here on takes its place.", error)

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        # where values are still to be measured, the methods below save them too
        if not is_measured(trainer) and self._is_due(trainer):
            self.save_last(trainer)

    def on_validation_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if trainer.fit_loop.epoch_end_is_due:
            return  # scores are still to come
        self._save_best(trainer)
        if self._is_due(trainer):
            self.save_last(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._save_best(trainer)
        if is_last_epoch(trainer) or self._is_due(trainer):
            self.save_last(trainer)

    def save_last(self, trainer: L.Trainer) -> bool:
        """Writes the checkpoint of this update, if that was not tried before.

        Every process must call it.

        Returns:
            Whether it is there; in every process the same.
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
            self.best = before  # the file is still that one

    def _has_improved(self, trainer: L.Trainer) -> bool:
        """Return whether the objective was measured at this very update, and is the best."""
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
        """Writes a checkpoint. In every process: why it could not be written, or None."""
        check_weights(trainer.lightning_module, trainer.global_step)
        for logger in trainer.loggers:
            logger.save()  # what was logged before a checkpoint is on disk when it is
            if trainer.is_global_zero and hasattr(logger, "sync"):
                logger.sync()
        trainer.save_checkpoint(path)
        error = trainer.strategy.checkpoint_io.failure
        if trainer.strategy.reduce_boolean_decision(error is None, all=True):
            return None
        if trainer.strategy.broadcast(isinstance(error, UserError)):  # nothing may be written
            trainer.loggers = []
            raise UserError("Stopped by the first process.") if error is None else error
        reason = "" if error is None else error.strerror or str(error)
        log.warning(
            "The checkpoint %s could not be written (%s). Training goes on, and %s.",
            path, reason, self._what_stays(path),
        )  # fmt: skip
        return reason

    def _what_stays(self, path: Path) -> str:
        """The checkpoint that a failed one would have followed."""
        if path.name == "best.ckpt":
            return "the best before it stays" if path.exists() else "there is none before it"
        if self.last_whole == 0:
            return "there is none before it"
        return f"{update_path(path.parent, self.last_whole).name} stays"

    def _tidy(self, folder: Path, update: int) -> None:
        try:
            tidy(folder, update=update, since=self.last_whole, keep_last=self.keep_last)
        except OSError as error:
            log.warning("An older checkpoint cannot be removed: %s", error)


def check_last(trainer: L.Trainer) -> None:
    """Raises `UserError` if training is over, and the checkpoint of its end is not there."""
    for callback in trainer.callbacks:
        if not isinstance(callback, Checkpoints):
            continue
        folder = _folder(trainer)
        if callback.failure is not None:
            raise UserError(
                f"Training is over, but its last checkpoint could not be written "
                f"({callback.failure}).\nTo train again from the one before it, once it can be: "
                f"resume={os.path.relpath(folder)}"
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
    """Raises `UserError`, in every process at once, if they go on from different checkpoints."""
    first = strategy.broadcast(update)
    if not strategy.reduce_boolean_decision(update == first, all=True):
        raise UserError(
            f"The processes go on from different checkpoints: the first from update {first}, this "
            f"one from {update}. All nodes must see the same files in the run folder."
        )
