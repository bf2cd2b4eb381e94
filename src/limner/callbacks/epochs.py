"""The ends of epochs, validations in their middle, and how interrupted ones are made up for.

At an epoch's end a run is validated, scored, and its best checkpoint chosen: long work, in whose
middle a signal may come. All of it follows from the weights after the last update. So a checkpoint
of that moment says that the epoch's end is due, and a resumed run begins with the whole of it. The
same holds for a validation in the middle of an epoch.
"""

__all__ = ["FitLoop", "Scorer", "TrackEpochEnd", "is_last_epoch", "is_measured"]

import copy
from typing import Any, Protocol, runtime_checkable

import lightning as L
import torch
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.loops.loop import _Loop
from torch import distributed

from limner.callbacks.epoch_loop import EpochLoop

VALIDATION = "epoch_loop.val_loop.batch_progress"


def is_last_epoch(trainer: L.Trainer) -> bool:
    """Return whether training ends with this epoch; for use in `on_train_epoch_end`."""
    return trainer.fit_loop.is_over(trainer.current_epoch + 1)


def is_measured(trainer: L.Trainer) -> bool:
    """Return whether validation or an epoch's end follows; for use in `on_train_batch_end`.

    Only callbacks that come after `TrackEpochEnd` may ask.
    """
    return trainer.fit_loop.epoch_end_is_due or trainer.fit_loop.validation_is_due


class FitLoop(_FitLoop):
    """Lightning's loop, resumable from a checkpoint saved while an epoch ends or is validated.

    Lightning would take the epoch for done, or for cut off before its end; and it would finish an
    interrupted validation on the remaining batches alone. This loop and its `EpochLoop` are the
    only places that touch the progress that Lightning keeps of epochs and batches;
    tests/test_interruptions guards them.

    Args:
        trainer: The trainer whose loop it replaces, before anything is trained.
    """

    def __init__(self, trainer: L.Trainer) -> None:
        replaced = trainer.fit_loop
        super().__init__(trainer, replaced.min_epochs, replaced.max_epochs)
        self.epoch_loop = EpochLoop(trainer)
        self.epoch_end_is_due = False
        """From the epoch's last batch until all that belongs to its end is done."""
        self.validation_is_due = False
        """From a batch after which validation follows until that is done."""
        self.validated_update: int | None = None
        """The update that was validated last, in this process."""
        self._after_batch: dict[str, Any] | None = None  # the state, until the next batch

    def is_over(self, num_epochs: int) -> bool:
        """Return whether training ends at this update, when so many whole epochs are done."""
        update = self.epoch_loop.global_step
        if num_epochs == self.max_epochs or 0 <= self.max_steps <= update:
            return True
        enough = num_epochs >= (self.min_epochs or 0) and update >= (self.min_steps or 0)
        return self.trainer.should_stop and enough

    def ends_run(self) -> bool:
        """Return whether training ends with the batch that was just done."""
        ends_epoch = self.epoch_loop._num_ready_batches_reached()
        return self.is_over(self.epoch_progress.current.processed + ends_epoch)

    def begin_measuring(self) -> bool:
        """Note what follows a batch, to be called in `on_train_batch_end`.

        Returns:
            Whether validation or the epoch's end follows.
        """
        self.validation_is_due = self.epoch_loop.decide()
        self.epoch_end_is_due = self.trainer.is_last_batch or self.ends_run()
        is_due = self.validation_is_due or self.epoch_end_is_due
        self._after_batch = super().state_dict() if is_due else None
        return is_due

    def end_validation(self) -> None:
        """Note that a validation is done, to be called in `on_validation_end`."""
        self.validated_update, self.validation_is_due = self.epoch_loop.global_step, False
        self.epoch_end_is_due = self.epoch_end_is_due or self.ends_run()  # by early stopping

    def validated_values(self) -> dict[str, float]:
        """Return what the validation that is ending has logged, and nothing of earlier ones."""
        found = self.epoch_loop.val_loop._results.metrics(on_step=False)["callback"]
        return {name: float(value) for name, value in found.items()}

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the progress; while something is measured, what it was after the last batch.

        Once an epoch's end is done but for the next epoch's beginning, Lightning can resume from
        the progress itself. An epoch that `max_steps` or time cut off is not done: a longer run
        goes on in its middle. The batches of a validation are left out: it is done whole or again.
        """
        is_whole = self.epoch_loop.batch_progress.is_last_batch
        if self._after_batch is None or (is_whole and not self.epoch_end_is_due):
            state = super().state_dict(*args, **kwargs)
        else:
            state = copy.deepcopy(self._after_batch)
        return state | {
            VALIDATION: type(self.epoch_loop.val_loop.batch_progress)().state_dict(),
            "epoch_end_is_due": self.epoch_end_is_due,
            "validation_is_due": self.validation_is_due,
        }

    def load_state_dict(self, state_dict: dict[str, Any], prefix: str = "") -> None:
        super().load_state_dict(state_dict, prefix)
        if any(state_dict.get(name) for name in ("epoch_end_is_due", "validation_is_due")):
            self._after_batch = copy.deepcopy(state_dict)
            is_last = self.epoch_loop.batch_progress.is_last_batch
            self.epoch_end_is_due = is_last or self.ends_run()
            self.validation_is_due = not self.epoch_end_is_due

    @_Loop.restarting.setter
    def restarting(self, restarting: bool) -> None:
        """Whether a run goes on in an epoch that had begun.

        Lightning takes one that is done for that too, if `max_steps` is set and nothing is
        validated, and gives it a batch of the next.
        """
        progress = self.epoch_progress.current
        is_done = progress.ready == progress.started == progress.processed
        _Loop.restarting.fset(self, restarting and not is_done)

    @property
    def skip(self) -> bool:
        """Of a run that is over, the end of the last epoch may be due, or its last picture."""
        return super().skip and not (self._loaded_from_state_dict and self.max_batches > 0)

    def reset(self) -> None:
        if self.epoch_end_is_due:
            torch.set_grad_enabled(True)
        else:
            super().reset()

    def on_run_start(self) -> None:
        super().on_run_start()
        if self.epoch_end_is_due:
            self._end_epoch()
        elif self.validation_is_due:
            self._validate_in_epoch()

    def on_advance_end(self) -> None:
        super().on_advance_end()
        self._after_batch = None

    def _end_epoch(self) -> None:
        """Do all that Lightning does after the last batch of an epoch."""
        _Loop.restarting.fset(self, False)  # of this loop and those in it
        self.epoch_loop.batch_progress.increment_completed()
        self.epoch_loop.decide()
        self.epoch_loop.on_advance_end(self._data_fetcher)  # validates
        self.epoch_loop.on_iteration_done()
        self.on_advance_end()
        self.on_iteration_done()

    def _validate_in_epoch(self) -> None:
        """Do a validation again that was interrupted in the middle of an epoch.

        A longer run need not do one that was due only since the run was to end there.
        """
        if self.epoch_loop.decide():
            self.epoch_loop.validate()
        self.epoch_loop.validates = self.validation_is_due = False


@runtime_checkable
class Scorer(Protocol):
    """A callback that scores samples at some epochs' ends, and at the last one."""

    def score_update(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        """Score the present weights, unless that was done."""


class TrackEpochEnd(L.pytorch.callbacks.Checkpoint):  # so that it comes after scores and logs
    """Tells the `FitLoop` when an epoch's end or a validation begins, and when it is done.

    It stands before `Checkpoints`, whose checkpoint of the epoch's end is one of all that is done.

    Of several processes each has its own running statistics in batch norm, and only the first
    one's are in a checkpoint. From here on all have those: so validation and scores are of what
    the checkpoint holds, and come out the same in a run that goes on from it.
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
