"""Validation and scores at an epoch's end: when they begin, and when they are done."""

__all__ = ["Scorer", "TrackEpochEnd", "is_last_epoch", "is_measured"]

from typing import Protocol, runtime_checkable

import lightning as L
from torch import distributed


def is_last_epoch(trainer: L.Trainer) -> bool:
    """Return whether training ends with this epoch; for use in `on_train_epoch_end`."""
    return trainer.fit_loop.is_over(trainer.current_epoch + 1)


def is_measured(trainer: L.Trainer) -> bool:
    """Return whether validation or an epoch's end follows; for use in `on_train_batch_end`.

    Only callbacks that come after `TrackEpochEnd` may ask.
    """
    return trainer.fit_loop.epoch_end_is_due or trainer.fit_loop.validation_is_due


@runtime_checkable
class Scorer(Protocol):
    """A callback that scores samples at some epochs' ends, and at the last one."""

    def score_update(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        """Score the present weights, unless that was done."""


class TrackEpochEnd(L.pytorch.callbacks.Checkpoint):  # so that it comes after scores and logs
    """Notes in the `FitLoop` when an epoch's end or a validation begins, and when it is done.

    This callback comes before `Checkpoints`, so that the checkpoint of an epoch's end holds all
    that was done there.

    Each of several processes has its own running statistics in batch norm, and a checkpoint holds
    those of the first process. Before anything is measured, all processes take these statistics:
    so validation and scores describe the weights in the checkpoint, also after a resume.
    """

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        if trainer.fit_loop.begin_measuring() and trainer.world_size > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, src=0)

    def on_validation_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        trainer.fit_loop.end_validation()

    def on_train_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if is_last_epoch(trainer):
            self._measure_last(trainer, model)
        trainer.fit_loop.epoch_end_is_due = False

    def _measure_last(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        """Validate and score where a callback has ended training only at the epoch's end."""
        loop = trainer.fit_loop
        if loop.validated_update != trainer.global_step and loop.epoch_loop.can_validate():
            loop.epoch_loop.validate()
        for callback in trainer.callbacks:
            if isinstance(callback, Scorer):
                callback.score_update(trainer, model)
