"""Checkpoints that are whole or not there, under names that say what they are."""

__all__ = ["AGREE_EVERY", "AtomicCheckpointIO", "Checkpoints"]

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from limner.callbacks.divergence import check_weights
from limner.callbacks.epochs import ends_epoch, is_last_epoch

AGREE_EVERY = 8
"""Updates between the questions of several processes about signals and time: asking is waiting."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the old file, syncs, and renames: a crash leaves the old one as it was."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.partial")
        with open(partial, "wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)


class Checkpoints(L.pytorch.callbacks.Checkpoint):
    """Keeps `checkpoints/last.ckpt`, and `best.ckpt` by the objective where there is one.

    Args:
        every_num_updates: Interval between two writings of last.ckpt,
        every_num_minutes: or this time, whichever is over first; both also at the end.
        objective: {name, mode: min or max}: the logged value that best.ckpt is chosen by; or None.
    """

    def __init__(
        self,
        *,
        every_num_updates: int,
        every_num_minutes: float,
        objective: Mapping[str, str] | None,
    ) -> None:
        if every_num_updates < 1:
            raise ValueError("callbacks.checkpoints.every_num_updates must be 1 or more.")
        self.every_num_updates, self.every_num_minutes = every_num_updates, every_num_minutes
        self.objective = objective
        self.best: float | None = None
        self._time = time.monotonic()
        self._update = 0

    def on_train_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._time, self._update = time.monotonic(), trainer.global_step
        if trainer.fit_loop.epoch_end_is_due:
            self._update -= 1  # the checkpoint of this update is to be replaced when that is done
        path = _path(trainer, "best")
        if trainer.global_step > 0 and path.exists():  # resumed
            saved = torch.load(path, weights_only=True, mmap=True)
            self.best = saved["callbacks"][self.state_key]["best"]

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        # at an epoch's end scores are still to come, and on_train_epoch_end saves them too
        if not ends_epoch(trainer) and self._is_due(trainer):
            self.save_last(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if self._has_improved(trainer):
            self._save(trainer, "best")
        if self._update != trainer.global_step and (
            is_last_epoch(trainer) or self._is_due(trainer)
        ):
            self.save_last(trainer)

    def save_last(self, trainer: L.Trainer) -> Path:
        """Writes last.ckpt; every process must call it."""
        path = self._save(trainer, "last")
        self._time, self._update = time.monotonic(), trainer.global_step
        return path

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def _is_due(self, trainer: L.Trainer) -> bool:
        update, every = trainer.global_step, self.every_num_updates
        if update // every > self._update // every:
            return True
        late = time.monotonic() - self._time > 60 * self.every_num_minutes
        if trainer.world_size == 1:
            return late
        asked = update % AGREE_EVERY == 0
        return asked and trainer.strategy.reduce_boolean_decision(late, all=False)

    def _has_improved(self, trainer: L.Trainer) -> bool:
        if self.objective is None or self.objective["name"] not in trainer.callback_metrics:
            return False
        value = float(trainer.callback_metrics[self.objective["name"]])
        sign = 1 if self.objective["mode"] == "min" else -1
        if self.best is not None and sign * value >= sign * self.best:
            return False
        self.best = value
        return True

    def _save(self, trainer: L.Trainer, name: str) -> Path:
        check_weights(trainer.lightning_module, trainer.global_step)
        for logger in trainer.loggers:
            logger.save()  # what was logged before a checkpoint is on disk when it is
            if hasattr(logger, "sync"):
                logger.sync()
        path = _path(trainer, name)
        trainer.save_checkpoint(path)
        return path


def _path(trainer: L.Trainer, name: str) -> Path:
    return Path(trainer.default_root_dir, "checkpoints", f"{name}.ckpt")
