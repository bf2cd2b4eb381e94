"""Keeps the status.json of a run up to date while it is trained."""

__all__ = ["Heartbeat"]

import lightning as L

from limner.status import StatusFile


class Heartbeat(L.Callback):
    """Tells the run's status which update is done.

    Args:
        status: The status of the run.
    """

    def __init__(self, *, status: StatusFile) -> None:
        self.status = status

    def on_train_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self.status.at(trainer.global_step)

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        self.status.at(trainer.global_step)
