"""The ends of epochs: which one is the last, and how an interrupted one is made up for.

At an epoch's end a run is validated, scored, and its best checkpoint chosen: long work, in whose
middle a signal may come. All of it follows from the weights after the last update. So a checkpoint
of that moment says that the epoch's end is due, and a run that goes on from it begins with the
whole of it.
"""

__all__ = ["EpochEnds", "FitLoop", "ends_epoch", "is_last_epoch"]

import copy
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.loops.loop import _Loop
from torch import distributed


def is_last_epoch(trainer: L.Trainer) -> bool:
    """Whether training ends with this epoch; for use in `on_train_epoch_end`."""
    return (
        trainer.should_stop
        or trainer.current_epoch + 1 == trainer.max_epochs
        or trainer.global_step == trainer.max_steps
    )


def ends_epoch(trainer: L.Trainer) -> bool:
    """Whether no other batch follows in this epoch; for use in `on_train_batch_end`."""
    return trainer.is_last_batch or trainer.global_step == trainer.max_steps


class FitLoop(_FitLoop):
    """Lightning's, of which a checkpoint saved while an epoch ends can be gone on from.

    Lightning would take the epoch for done, or for cut off before its end. It is the only place
    that touches the progress that Lightning keeps of epochs and batches; tests/test_interruptions
    guards it.

    Args:
        trainer: Whose loop it takes the place of, before anything is trained.
    """

    def __init__(self, trainer: L.Trainer) -> None:
        replaced = trainer.fit_loop
        super().__init__(trainer, replaced.min_epochs, replaced.max_epochs)
        self.epoch_loop = replaced.epoch_loop
        self.epoch_end_is_due = False
        """From the epoch's last batch until all that belongs to its end is done."""
        self._at_last_batch: dict[str, Any] | None = None  # the state, while the epoch ends

    def begin_epoch_end(self) -> None:
        """To be called after the last batch of an epoch, in `on_train_batch_end`."""
        self._at_last_batch = super().state_dict()
        self.epoch_end_is_due = True

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The progress; while an epoch ends, what it was after the last batch.

        Unless all is done but for the next epoch's beginning, which Lightning can go on from. What
        `max_steps` cut off in mid-epoch is no such thing: a longer run goes on in the epoch.
        """
        is_whole = self.epoch_loop.batch_progress.is_last_batch
        if self._at_last_batch is None or (is_whole and not self.epoch_end_is_due):
            state = super().state_dict(*args, **kwargs)
        else:
            state = copy.deepcopy(self._at_last_batch)
        return state | {"epoch_end_is_due": self.epoch_end_is_due}

    def load_state_dict(self, state_dict: dict[str, Any], prefix: str = "") -> None:
        super().load_state_dict(state_dict, prefix)
        is_over = self.epoch_loop.global_step == self.max_steps
        ends = self.epoch_loop.batch_progress.is_last_batch or is_over
        if ends and state_dict.get("epoch_end_is_due", False):
            self._at_last_batch = copy.deepcopy(state_dict)
            self.epoch_end_is_due = True

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

    def on_advance_end(self) -> None:
        super().on_advance_end()
        self._at_last_batch = None

    def _end_epoch(self) -> None:
        """All that Lightning does after the last batch of an epoch."""
        _Loop.restarting.fset(self, False)  # of this loop and those in it
        self.epoch_loop.batch_progress.increment_completed()
        self.epoch_loop.on_advance_end(self._data_fetcher)  # validates
        self.epoch_loop.on_iteration_done()
        self.on_advance_end()
        self.on_iteration_done()


class EpochEnds(L.pytorch.callbacks.Checkpoint):  # so that it comes after scores and logs
    """Tells the `FitLoop` when an epoch's end begins, and when it is done.

    It stands before `Checkpoints`, whose checkpoint of the epoch's end is one of all that is done.

    Of several processes each has its own running statistics in batch norm, and only the first
    one's are in a checkpoint. From here on all have those: so validation and scores are of what
    the checkpoint holds, and come out the same in a run that goes on from it.
    """

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        if ends_epoch(trainer):
            if trainer.world_size > 1:
                for buffer in model.buffers():
                    distributed.broadcast(buffer, src=0)
            trainer.fit_loop.begin_epoch_end()

    def on_train_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        trainer.fit_loop.epoch_end_is_due = False
