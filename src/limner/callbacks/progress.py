"""Progress bars of training and validation."""

__all__ = ["Progress"]

import os

import lightning as L

from limner.callbacks.log import Log
from limner.console import Bar
from limner.launch.job import NAME

SHOWN = ("train/loss", "val/fid", "val/loss", "val/accuracy")
"""Prefixes of the log keys whose newest values are shown."""


class Progress(L.Callback):
    """Callback that shows completed updates, speed, time left, and the newest losses and scores.

    The bar of a sweep's job or of a search's trial shows its name. A validation that takes more
    than a second has its own bar.
    """

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._validation: Bar | None = None

    def on_train_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if trainer.is_global_zero:
            self._bar = Bar(
                os.environ.get(NAME, "Training"),
                total=_num_updates(trainer),
                completed=trainer.global_step,
            )
            self._bar.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        if self._bar is not None:
            self._bar.update(trainer.global_step, lambda: _values(trainer))

    def on_validation_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if self._bar is not None:
            num_batches = sum(trainer.num_val_batches)
            self._validation = Bar("Validating", total=num_batches, unit="batches")
            self._validation.start()

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._validation is not None:
            self._validation.update(sum(trainer.num_val_batches[:dataloader_idx]) + batch_idx + 1)

    def on_validation_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if self._validation is not None:
            self._validation.stop()
            self._validation = None

    def on_train_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._close(trainer)

    def on_exception(
        self, trainer: L.Trainer, model: L.LightningModule, exception: BaseException
    ) -> None:
        self.on_validation_end(trainer, model)
        self._close(trainer)

    def _close(self, trainer: L.Trainer) -> None:
        if self._bar is not None:
            self._bar.update(trainer.global_step, lambda: _values(trainer))
            self._bar.stop()
            self._bar = None


def _values(trainer: L.Trainer) -> dict[str, float]:
    """Return the newest logged values, so that the bar fetches nothing from the device."""
    latest = next((c.latest for c in trainer.callbacks if isinstance(c, Log)), {})
    return {name: value for name, value in latest.items() if name.startswith(SHOWN)}


def _num_updates(trainer: L.Trainer) -> float | None:
    """Return the total number of updates (one for each batch); None without a limit."""
    limits = [trainer.max_steps] if trainer.max_steps >= 0 else []
    if trainer.max_epochs is not None and trainer.max_epochs >= 0:
        limits.append(trainer.num_training_batches * trainer.max_epochs)
    return min(limits, default=None)
