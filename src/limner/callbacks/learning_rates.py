"""Schedules of the numbers of every optimizer: the learning rate and Adam's second beta."""

__all__ = ["LearningRates", "SecondBetas"]

import lightning as L

from limner.errors import UserError
from limner.interfaces import Schedule

END = 10**9  # an update after the end of any schedule


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


class SecondBetas(L.Callback):
    """Callback that sets the second beta of every optimizer to a schedule.

    Args:
        schedule: Decay of the average of the squared gradient at each update, in [0, 1).
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def on_train_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        for optimizer in trainer.optimizers:
            if "betas" not in optimizer.defaults:
                raise UserError(
                    f"beta2_schedule: {type(optimizer).__name__} has no betas; choose "
                    "optimizer=adam or adamw, or beta2_schedule=constant."
                )
        for update in (0, END):
            if not 0 <= (value := self.schedule(update)) < 1:
                raise UserError(f"beta2_schedule has the value {value}: must be in [0, 1).")

    def on_train_batch_start(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        value = self.schedule(trainer.global_step)
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["betas"] = (group["betas"][0], value)
