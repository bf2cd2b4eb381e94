"""Logging of a run's values to its loggers, with the update as step."""

__all__ = ["Log"]

import time
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch

from limner.callbacks.divergence import check_values


class Log(L.Callback):
    """Callback that logs training values every few updates, and `val/` values when measured.

    The training values are what `training_step` returns, and

        train/learning_rate       learning rate of each optimizer
        train/images_seen         number of images in all updates so far
        time/images_per_second    speed since the last logged update
        time/seconds              time since the start of training, including scores and pictures;
                                  a resumed run continues the count of its checkpoint

    The values of other updates never leave the device, so training does not wait for them. If a
    loss is not finite, this callback raises `Diverged`, which ends the run or rolls it back to its
    last checkpoint (`on_divergence`).

    Args:
        every_num_updates: Number of updates between two logged updates, at least 1.
    """

    def __init__(self, *, every_num_updates: int) -> None:
        if every_num_updates < 1:
            raise ValueError("callbacks.log.every_num_updates must be 1 or more.")
        self.every_num_updates = every_num_updates
        self.latest: dict[str, float] = {}
        """Newest value of each log key, for callbacks that display values."""
        self.first_update = 0
        """Update from which training has started or resumed."""
        self._since = (0.0, 0)
        self._start: float | None = None
        self._before = 0.0  # seconds of training before this start
        self._lost = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds(), "latest": self.latest}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._before, self.latest = state_dict["seconds"], state_dict["latest"]

    def seconds(self) -> float:
        """Return the duration of training so far in seconds, including earlier starts."""
        now = 0.0 if self._start is None else time.perf_counter() - self._start
        return self._before + now

    def go_on_at(self, seconds: float) -> None:
        """Set a lower bound of the time before this start; call this before training continues.

        After a rollback, the time in the checkpoint lacks the updates that were rolled back.

        Args:
            seconds: Time of training before this start, in seconds.
        """
        self._lost = seconds

    def on_train_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._start = time.perf_counter()
        self._before = max(self._before, self._lost)
        self.first_update = trainer.global_step
        self._since = (self._start, self.first_update)

    def on_train_epoch_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._since = (time.perf_counter(), trainer.global_step)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        outputs: Mapping[str, Any],
        batch: Mapping[str, Any],
        batch_idx: int,
    ) -> None:
        update = trainer.global_step
        if update % self.every_num_updates != 0 and not trainer.is_last_batch:
            return
        names = list(outputs)
        losses = torch.stack([outputs[name].detach().float() for name in names]).tolist()
        values = {f"train/{name}": value for name, value in zip(names, losses, strict=True)}
        check_values(values, update, trainer.strategy)
        images = next(batch[key] for key in ("image", "frames", "image_a") if key in batch)
        num_images = len(images) * trainer.world_size
        values |= _learning_rates(trainer)
        values["train/images_seen"] = update * num_images
        start, first = self._since
        seconds = time.perf_counter() - start
        if update > first:
            values["time/images_per_second"] = (update - first) * num_images / seconds
        self._since = (time.perf_counter(), update)
        values["time/seconds"] = self.seconds()
        self._write(trainer, values)

    def on_measured(self, trainer: L.Trainer, values: Mapping[str, float]) -> None:
        """Log values measured with the current weights, with the current update as step."""
        if values:
            self._write(trainer, values)

    def _write(self, trainer: L.Trainer, values: Mapping[str, float]) -> None:
        self.latest |= values
        # Lightning's own logging has the number of finished batches minus one as step
        # (test_max_steps_counts_generator_updates).
        for logger in trainer.loggers:
            logger.log_metrics(
                {**values, "epoch": trainer.current_epoch}, step=trainer.global_step
            )


def _learning_rates(trainer: L.Trainer) -> dict[str, float]:
    """Return the learning rate of each optimizer; a second optimizer trains a discriminator."""
    names = ["train/learning_rate", "train/learning_rate_discriminator"]
    rates = [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers]
    return dict(zip(names, rates, strict=False))
