"""Updates of a run's status.json and checks of its folder during training."""

__all__ = ["Heartbeat"]

import lightning as L

from limner.errors import UserError
from limner.runs.folder import RunFolder
from limner.runs.status import StatusFile


class Heartbeat(L.Callback):
    """Callback that records the last update in status.json, and checks the run folder.

    This callback comes before all callbacks that write into the run folder.

    Args:
        status: Writer of the run's status.json.
        folder: Run folder.
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
            trainer.loggers = []  # otherwise loggers write their remaining values into the folder
            raise
