"""Lightning's loop over epochs, changed so that it can resume from any moment.

At the end of an epoch a run is validated and scored, and its best checkpoint is chosen. This work
takes long, and a signal may interrupt it. Its results depend only on the weights after the last
update. So a checkpoint saved during this work states that the epoch's end is due, and a resumed
run repeats the whole work. The same holds for a validation in the middle of an epoch.
tests/test_interruptions.py and tests/test_measured_values.py fail if Lightning changes this loop.
"""

__all__ = ["FitLoop"]

import copy
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.loops.loop import _Loop

from limner.models.lightning_internals.epoch_loop import EpochLoop

VALIDATION = "epoch_loop.val_loop.batch_progress"


class FitLoop(_FitLoop):
    """Lightning's loop, resumable from a checkpoint saved during an epoch's end or a validation.

    Lightning would treat such an epoch as finished, or as interrupted before its end. It would
    also finish an interrupted validation on the remaining batches only.

    Args:
        trainer: Trainer whose loop is replaced, before any training.
    """

    def __init__(self, trainer: L.Trainer) -> None:
        replaced = trainer.fit_loop
        super().__init__(trainer, replaced.min_epochs, replaced.max_epochs)
        self.epoch_loop = EpochLoop(trainer)
        self.epoch_end_is_due = False
        """True from the epoch's last batch until all work of the epoch's end is done."""
        self.validation_is_due = False
        """True from a batch that validation follows until the validation is done."""
        self.validated_update: int | None = None
        """Number of the update that was validated last in this process."""
        self._after_batch: dict[str, Any] | None = (
            None  # state after the latest batch; None once it is outdated
        )

    def is_over(self, num_epochs: int) -> bool:
        """Return whether training ends at this update, after `num_epochs` whole epochs."""
        update = self.epoch_loop.global_step
        if num_epochs == self.max_epochs or 0 <= self.max_steps <= update:
            return True
        enough = num_epochs >= (self.min_epochs or 0) and update >= (self.min_steps or 0)
        return self.trainer.should_stop and enough

    def ends_run(self) -> bool:
        """Return whether training ends with the latest batch."""
        ends_epoch = self.epoch_loop._num_ready_batches_reached()
        return self.is_over(self.epoch_progress.current.processed + ends_epoch)

    def begin_measuring(self) -> bool:
        """Record what follows a batch; call it in `on_train_batch_end`.

        Returns:
            Whether validation or the epoch's end follows.
        """
        self.epoch_end_is_due = self.trainer.is_last_batch or self.ends_run()
        self.validation_is_due = self.epoch_loop.decide()
        is_due = self.validation_is_due or self.epoch_end_is_due
        self._after_batch = super().state_dict() if is_due else None
        return is_due

    def end_validation(self) -> None:
        """Record that a validation is done; call it in `on_validation_end`."""
        self.validated_update, self.validation_is_due = self.epoch_loop.global_step, False
        self.epoch_end_is_due = self.epoch_end_is_due or self.ends_run()  # by early stopping

    def validated_values(self) -> dict[str, float]:
        """Return the values logged by the validation that is ending, without earlier ones."""
        found = self.epoch_loop.val_loop._results.metrics(on_step=False)["callback"]
        return {name: float(value) for name, value in found.items()}

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the progress.

        During a validation or an epoch's end, this is the progress after the last batch. After all
        work of an epoch's end, Lightning can resume from the current progress. An epoch that
        `max_steps` or time has cut off is not finished: a longer run resumes in the middle of the
        epoch. The batches of a validation are left out, since a validation always runs as a
        whole.
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
        """Set whether a run resumes in the middle of an epoch.

        If `max_steps` is set, Lightning's setter sets True even if it is passed False. If nothing
        is validated, Lightning then trains a finished epoch on a batch of the next epoch.
        """
        progress = self.epoch_progress.current
        is_done = progress.ready == progress.started == progress.processed
        _Loop.restarting.fset(self, restarting and not is_done)

    @property
    def skip(self) -> bool:
        """Whether no work is left. After the last update, an epoch's end may still be due."""
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
        """Do everything that Lightning does after the last batch of an epoch."""
        _Loop.restarting.fset(self, False)  # for this loop and the loops inside it
        self.epoch_loop.batch_progress.increment_completed()
        self.epoch_loop.decide()
        self.epoch_loop.on_advance_end(self._data_fetcher)  # validates
        self.epoch_loop.on_iteration_done()
        self.on_advance_end()
        self.on_iteration_done()

    def _validate_in_epoch(self) -> None:
        """Repeat a validation that was interrupted in the middle of an epoch.

        A longer run need not repeat a validation that was due only because the run ended there.
        """
        if self.epoch_loop.decide():
            self.epoch_loop.validate()
        self.epoch_loop.validates = self.validation_is_due = False
