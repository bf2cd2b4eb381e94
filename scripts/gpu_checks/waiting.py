"""No update waits for the GPU, except updates whose values are logged."""

__all__ = ["NoWaiting", "waiting"]

from collections.abc import Iterator

import lightning as L
import torch

from gpu_checks.context import Context, Finding
from gpu_checks.each import each
from gpu_checks.families import FAMILIES, family_words
from gpu_checks.trainings import device_words, train

WAITING = ("path_length",)
"""Families that wait: the path length is left out of a step unless its value is finite."""
NUM_UNWATCHED, NUM_WATCHED = 5, 10
"""Numbers of updates: the first updates choose algorithms and fill caches, and may wait."""


class NoWaiting(L.Callback):
    """Callback that makes waiting for the GPU an error, from one update to another.

    Making the batches and calling all hooks are watched too.

    Args:
        first: Number of updates before the watch.
        num_updates: Number of watched updates.
    """

    def __init__(self, *, first: int, num_updates: int) -> None:
        self.first, self.num_updates = first, num_updates
        self.num_watched = 0

    def on_train_batch_end(self, trainer: L.Trainer, *args: object) -> None:
        update = trainer.global_step
        if update == self.first:
            torch.cuda.set_sync_debug_mode("error")
        elif self.first < update <= self.first + self.num_updates:
            self.num_watched += 1
        if update == self.first + self.num_updates:
            torch.cuda.set_sync_debug_mode("default")


def waiting(context: Context) -> Iterator[Finding]:
    """Watch some updates of every family that should not wait."""
    watched = [family for family in FAMILIES if family not in WAITING]
    yield from each(_watched, watched, context, seconds=4)


def _watched(context: Context, family: str) -> list[Finding]:
    watch = NoWaiting(first=NUM_UNWATCHED, num_updates=NUM_WATCHED)
    words = [
        *family_words(family, context), *device_words(context.device),
        f"trainer.max_steps={NUM_UNWATCHED + NUM_WATCHED + 1}",
        "callbacks.log.every_num_updates=1000000",
    ]  # fmt: skip
    try:
        train(words, context.folder / family, watch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    found = f"{watch.num_watched} updates without waiting"
    return [Finding(family, found, watch.num_watched == NUM_WATCHED)]
