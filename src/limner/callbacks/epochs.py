"""Tracking of pending measurements: validation, and the scores at the end of an epoch."""

__all__ = ["Scorer", "TrackEpochEnd", "is_last_epoch", "is_measured"]

from typing import Protocol, runtime_checkable

import lightning as L
from torch import distributed


def is_last_epoch(trainer: L.Trainer) -> bool:
    """Return whether training ends with this epoch; call it in `on_train_epoch_end`."""
    return trainer.fit_loop.is_over(trainer.current_epoch + 1)


def is_measured(trainer: L.Trainer) -> bool:
    """Return whether validation or the end of an epoch follows; call it in `on_train_batch_end`.

    The result is correct only in callbacks that come after `TrackEpochEnd`.
    """
    return trainer.fit_loop.epoch_end_is_due or trainer.fit_loop.validation_is_due


@runtime_checkable
class Scorer(Protocol):
    """Callback that scores samples at the end of some epochs, including the last epoch."""

    def score_update(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        """Score the current weights, unless they have been scored."""


class TrackEpochEnd(L.pytorch.callbacks.Checkpoint):  # called after other callbacks
    """Callback that records in the `FitLoop` when validation or the end of an epoch is pending.

    This callback comes before `Checkpoints`, so that the checkpoint at the end of an epoch
    contains the results of validation and scores.

    With several processes, each process has its own running statistics in batch norm, since
    Lightning's DDP broadcasts no buffers after the first step of manual optimization. A checkpoint
    contains the statistics of the first process. Before each measurement, this callback copies the
    buffers of the first process to all processes. So validation and scores describe the weights in
    the checkpoint, also after a resume (test_two_processes_share_one_run).
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
        """Validate and score if a callback has ended training only at the end of the epoch."""
        loop = trainer.fit_loop
        if loop.validated_update != trainer.global_step and loop.epoch_loop.can_validate():
            loop.epoch_loop.validate()
        for callback in trainer.callbacks:
            if isinstance(callback, Scorer):
                callback.score_update(trainer, model)
