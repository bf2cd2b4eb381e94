"""Callbacks of every run: seeded updates, and a stop on a signal with a checkpoint."""

__all__ = ["SeedPerUpdate", "StopOnSignal", "stop_if_asked", "stopping_at_once"]

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

import lightning as L

from limner.callbacks.checkpoints import AGREE_EVERY, Checkpoints
from limner.callbacks.epochs import is_measured
from limner.errors import Diverged, Interrupted
from limner.processes import STOP_SIGNALS
from limner.randomness import Noise, seed_for, seed_torch

log = logging.getLogger(__name__)

SECONDS_TOGETHER = 0.5
"""Number of seconds within which two signals of the same kind count as one stop."""
SECONDS_UNTIL_TOLD = 2.0
"""Number of seconds after a signal until a warning states that the update is being finished."""


class SeedPerUpdate(L.Callback):
    """Callback that seeds each update, so that a resumed run draws the same random numbers.

    If the model has a `noise`, it is started with a seed from (seed, update), and with the rank of
    the process. Torch's own generators are seeded from (seed, update, rank).

    Args:
        seed: Seed of the run.
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


@contextlib.contextmanager
def stopping_at_once() -> Iterator[None]:
    """Let every signal of `STOP_SIGNALS` raise KeyboardInterrupt in the block, like Ctrl-C.

    Use it for work that cannot be resumed: reading the data, or training the classifier whose
    features the scores compare.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if not _may_handle_signals():
        yield
        return
    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# a Checkpoint, since Lightning calls those callbacks last: it must come after `Checkpoints`
class StopOnSignal(L.pytorch.callbacks.Checkpoint):
    """Callback that stops training on SIGINT, SIGTERM or SIGUSR1, with a checkpoint.

    After a signal, the callback finishes the batch, saves a checkpoint and raises `Interrupted`.
    Validation and scoring stop at their next batch, and are repeated when the run is resumed.

    A second Ctrl-C, or a second SIGTERM outside of SLURM, raises KeyboardInterrupt at once, if it
    comes at least half a second after the first: launchers and terminals may send one stop twice.
    Only signals of the same kind count, since SLURM sends SIGUSR1 before SIGTERM. Under SLURM, a
    second SIGTERM has no effect, since SLURM repeats SIGTERM at the end of the grace time, which
    the checkpoint may need.
    """

    def __init__(self) -> None:
        self._received = False
        self._first: dict[int, float] = {}
        self._reminders: dict[int, threading.Timer] = {}
        self._before = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def install(self) -> None:
        """Install the signal handlers, which let training stop with a checkpoint.

        Only the main thread can have handlers; in another thread this method does nothing.
        """
        if not _may_handle_signals():
            return
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_signal)

    def restore(self) -> None:
        """Restore the earlier signal handlers."""
        self._forget_reminders()
        if not _may_handle_signals():
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_train_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self.install()  # Lightning has installed other handlers

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        asked = trainer.world_size == 1 or trainer.global_step % AGREE_EVERY == 0
        if asked or is_measured(trainer):
            self.stop_if_received(trainer)

    def on_validation_batch_start(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        self.stop_if_received(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self.stop_if_received(trainer)

    def stop_if_received(self, trainer: L.Trainer) -> None:
        """Save a checkpoint and raise `Interrupted` in every process if any received a signal."""
        if not trainer.strategy.reduce_boolean_decision(self._received, all=False):
            return
        self._forget_reminders()
        checkpoints = [c for c in trainer.callbacks if isinstance(c, Checkpoints)]
        how = "" if checkpoints else ", without a checkpoint (~callbacks.checkpoints)"
        for callback in checkpoints:
            try:
                if not callback.save_last(trainer):
                    how = ", whose checkpoint could not be written"
            except Diverged as error:
                how = f", without a checkpoint: {error.what}"
        raise Interrupted(f"Stopped after update {trainer.global_step}{how}.")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        now, self._received = time.monotonic(), True
        first = self._first.setdefault(number, now)
        if _stops_at_once(number) and now - first >= SECONDS_TOGETHER:
            self._forget_reminders()
            raise KeyboardInterrupt
        if number not in self._reminders:
            timer = threading.Timer(SECONDS_UNTIL_TOLD, _tell_what_is_awaited, [number])
            timer.daemon = True
            self._reminders[number] = timer
            timer.start()  # the handler must not print, since it may interrupt another print

    def _forget_reminders(self) -> None:
        for timer in self._reminders.values():
            timer.cancel()


def _may_handle_signals() -> bool:
    """Return whether this is the main thread, the only thread that may handle signals."""
    return threading.current_thread() is threading.main_thread()


def _stops_at_once(number: int) -> bool:
    """Return whether a second signal of this kind stops a run without a checkpoint."""
    return number == signal.SIGINT or (
        number == signal.SIGTERM and "SLURM_JOB_ID" not in os.environ
    )


def _tell_what_is_awaited(number: int) -> None:
    again = "press Ctrl-C again" if number == signal.SIGINT else "a second SIGTERM is"
    to_stop = "to stop at once, without saving"
    log.warning(
        "Stopping after this update%s.",
        f"; {again} {to_stop}" if _stops_at_once(number) else "",
    )


def stop_if_asked(trainer: L.Trainer) -> None:
    """Stop training if a signal came; call it regularly during long work between batches.

    Every process must call this function equally often.

    Raises:
        Interrupted: If any process received a signal.
    """
    for callback in trainer.callbacks:
        if isinstance(callback, StopOnSignal):
            callback.stop_if_received(trainer)
