"""Hands the values of a run to its loggers, counted by updates."""

__all__ = ["Log"]

import time
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch

from limner.callbacks.divergence import check_values


class Log(L.Callback):
    """Logs what `training_step` returned every few updates, and `val/...` when it is measured.

    Beside the losses: `train/learning_rate` of each optimizer, `train/images_seen`, and
    `time/images_per_second` since the last look, and `time/seconds` since the start of training,
    scores and pictures included; a resumed run counts on from its checkpoint. The values of other
    updates never leave the device, so nothing waits for them. A loss that is not finite ends the
    run here, or sends it back to its last checkpoint (`on_divergence`).

    Args:
        every_num_updates: Interval between two looks.
    """

    def __init__(self, *, every_num_updates: int) -> None:
        if every_num_updates < 1:
            raise ValueError("callbacks.log.every_num_updates must be 1 or more.")
        self.every_num_updates = every_num_updates
        self.latest: dict[str, float] = {}
        """The newest value of everything logged, for whoever shows it."""
        self.first_update = 0
        """The update that training has begun or gone on from."""
        self._since = (0.0, 0)
        self._start: float | None = None
        self._before = 0.0  # seconds of the starts before this one
        self._lost = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds(), "latest": self.latest}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._before, self.latest = state_dict["seconds"], state_dict["latest"]

    def seconds(self) -> float:
        """Of training so far."""
        now = 0.0 if self._start is None else time.perf_counter() - self._start
        return self._before + now

    def go_on_at(self, seconds: float) -> None:
        """To be called before training that goes on from an update which was passed before."""
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
        num_images = len(batch["image"]) * trainer.world_size
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
        """Log what was measured of the present weights, under their update."""
        if values:
            self._write(trainer, values)

    def _write(self, trainer: L.Trainer, values: Mapping[str, float]) -> None:
        self.latest |= values
        for logger in trainer.loggers:
            logger.log_metrics(
                {**values, "epoch": trainer.current_epoch}, step=trainer.global_step
            )


def _learning_rates(trainer: L.Trainer) -> dict[str, float]:
    """The rate of each optimizer; of two, the second is the discriminator's."""
    names = ["train/learning_rate", "train/learning_rate_discriminator"]
    rates = [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers]
    return dict(zip(names, rates, strict=False))
