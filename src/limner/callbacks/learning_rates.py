"""Learning rates that change over training."""

__all__ = ["LearningRates"]

from collections.abc import Callable

import lightning as L


class LearningRates(L.Callback):
    """Multiplies the learning rate of every optimizer by a factor that follows the update.

    Args:
        schedule: The factor, of the number of updates before this one; see
            `limner.schedules`.
    """

    def __init__(self, schedule: Callable[[int], float]) -> None:
        self.schedule = schedule

    def on_train_batch_start(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        factor = self.schedule(trainer.global_step)
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                # part of the optimizer's state, so a resumed run knows what it began with
                group.setdefault("initial_lr", group["lr"])
                group["lr"] = factor * group["initial_lr"]
