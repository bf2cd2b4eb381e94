"""What every run has, whatever its config: seeded updates, and an orderly stop on a signal."""

__all__ = ["Interrupts", "SeedUpdates"]

import signal
from types import FrameType
from typing import Any

import lightning as L

from limner.callbacks.checkpoints import AGREE_EVERY, Checkpoints
from limner.errors import Interrupted
from limner.randomness import Noise, seed_for, seed_torch


class SeedUpdates(L.Callback):
    """Makes the random numbers of an update a function of it, so that a resumed run is the same.

    The model's `noise`, if it has one, is started from (seed, update) and the process's place;
    what torch draws by itself from (seed, update, rank).

    Args:
        seed: The run's seed.
    """

    def __init__(self, *, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        update, rank = trainer.global_step, trainer.global_rank
        seed_torch(seed_for(self.seed, "step", update, rank), model.device)
        if isinstance(noise := getattr(model, "noise", None), Noise):
            noise.start(
                seed_for(self.seed, "noise", update), rank=rank, world_size=trainer.world_size
            )

    def on_validation_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        position = trainer.global_step, trainer.global_rank
        seed_torch(seed_for(self.seed, "validation", *position), model.device)


class Interrupts(L.pytorch.callbacks.Checkpoint):  # so that Lightning calls it after Checkpoints
    """On SIGINT or SIGTERM: finishes the batch, saves a checkpoint and raises `Interrupted`."""

    def __init__(self) -> None:
        self._received = False
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._on_signal)

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        alone = trainer.world_size == 1
        if not trainer.is_last_batch and (alone or trainer.global_step % AGREE_EVERY == 0):
            self._stop_if_received(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._stop_if_received(trainer)

    def on_exception(
        self, trainer: L.Trainer, model: L.LightningModule, exception: BaseException
    ) -> None:
        self._restore()

    def teardown(self, trainer: L.Trainer, model: L.LightningModule, stage: str) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._received and number == signal.SIGINT:
            raise KeyboardInterrupt  # pressed twice: at once
        self._received = True

    def _stop_if_received(self, trainer: L.Trainer) -> None:
        if not trainer.strategy.reduce_boolean_decision(self._received, all=False):
            return
        checkpoints = [c for c in trainer.callbacks if isinstance(c, Checkpoints)]
        if not checkpoints:
            without = ", without a checkpoint (~callbacks.checkpoints)"
        elif not all(callback.save_last(trainer) for callback in checkpoints):
            without = ", whose checkpoint could not be written"
        else:
            without = ""
        raise Interrupted(f"Stopped after update {trainer.global_step}{without}.")
