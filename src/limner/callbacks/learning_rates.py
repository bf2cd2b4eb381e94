"""Learning-rate schedules."""

__all__ = ["LearningRates"]

import lightning as L

from limner.interfaces import Schedule


class LearningRates(L.Callback):
    """Callback that multiplies the learning rate of every optimizer by a schedule.

    Args:
        schedule: Factor of the learning rate at each update, see `limner.schedules`.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def on_train_batch_start(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        factor = self.schedule(trainer.global_step)
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                # saved with the optimizer, so that a resumed run has the same initial rate
                group.setdefault("initial_lr", group["lr"])
                group["lr"] = factor * group["initial_lr"]
