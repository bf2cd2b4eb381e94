"""One bar for the whole training; silent where nobody watches."""

__all__ = ["Progress"]

import time

import lightning as L
from rich import get_console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from limner.callbacks.log import Log
from limner.files.printable import printable
from limner.warn_once import WarnOnce

SECONDS = 0.1  # between two drawings


class Progress(L.Callback):
    """Shows updates done, time left, the newest loss and the newest scores on a terminal."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._next = 0.0
        self._terminal = WarnOnce("The progress bar", OSError)

    def on_train_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if not (trainer.is_global_zero and get_console().is_terminal):
            return
        self._bar = Bar(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("updates,"), TimeRemainingColumn(compact=True), TextColumn("left"),
            TextColumn("[dim]{task.fields[values]}"),
            console=get_console(), auto_refresh=False,
        )  # fmt: skip
        self._bar.add_task(
            "Training", total=_num_updates(trainer), completed=trainer.global_step, values=""
        )
        self._bar.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        if self._bar is not None and time.monotonic() >= self._next:
            with self._terminal():
                self._show(trainer)
            self._next = time.monotonic() + SECONDS

    def on_train_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._close(trainer)

    def on_exception(
        self, trainer: L.Trainer, model: L.LightningModule, exception: BaseException
    ) -> None:
        self._close(trainer)

    def _show(self, trainer: L.Trainer) -> None:
        latest = next((c.latest for c in trainer.callbacks if isinstance(c, Log)), {})
        shown = [name for name in latest if name.startswith(("train/loss", "val/fid", "val/loss"))]
        values = escape(printable("  ".join(f"{name} {latest[name]:.4g}" for name in shown)))
        self._bar.update(self._bar.task_ids[0], completed=trainer.global_step, values=values)
        self._bar.refresh()

    def _close(self, trainer: L.Trainer) -> None:
        if self._bar is not None:
            with self._terminal():
                self._show(trainer)
                self._bar.stop()
            self._bar = None


def _num_updates(trainer: L.Trainer) -> float | None:
    """Updates of the whole training, or None if only a signal ends it; a batch is an update."""
    limits = [trainer.max_steps] if trainer.max_steps >= 0 else []
    if trainer.max_epochs is not None and trainer.max_epochs >= 0:
        limits.append(trainer.num_training_batches * trainer.max_epochs)
    return min(limits, default=None)
