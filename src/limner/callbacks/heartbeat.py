"""Keeps the status.json of a run up to date while it is trained, and an eye on its folder."""

__all__ = ["Heartbeat"]

import lightning as L

from limner.errors import UserError
from limner.runs.folder import RunFolder
from limner.runs.status import StatusFile


class Heartbeat(L.Callback):
    """Tells the run's status which update is done, and sees whether the folder is still its own.

    It stands before all that write there.

    Args:
        status: The status of the run.
        folder: The folder of the run.
    """

    def __init__(self, *, status: StatusFile, folder: RunFolder) -> None:
        self.status, self.folder = status, folder

    def on_train_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self.status.at(trainer.global_step)

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        self._check(trainer)
        self.status.at(trainer.global_step)

    def on_train_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._check(trainer)

    def on_train_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._check(trainer)

    def _check(self, trainer: L.Trainer) -> None:
        try:
            self.folder.check()
        except UserError:
            trainer.loggers = []  # else they would write what they have left into it
            raise
