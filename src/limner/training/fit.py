"""Trains, and where training diverges goes back to the last checkpoint, with other numbers."""

__all__ = ["Prepare", "fit"]

import gc
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from limner.callbacks.log import Log
from limner.callbacks.rollbacks import Rollback, rollbacks_of
from limner.callbacks.signals import StopOnSignal
from limner.errors import Diverged, Interrupted, UserError
from limner.runs.checkpoints import update_of
from limner.runs.newest_checkpoint import newest

log = logging.getLogger(__name__)

Prepare = Callable[[Sequence[Rollback], StopOnSignal, int], tuple[L.Trainer, L.LightningModule]]
"""Makes a trainer and a model for a run with these rollbacks behind it, at an update."""


def fit(
    prepare: Prepare,
    *,
    data: L.LightningDataModule,
    run_dir: Path,
    last: Path | None,
    on_divergence: str,
    max_rollbacks: int,
) -> L.Trainer:
    """Trains to the end, and returns the trainer that got there.

    After a divergence all is made anew, in the same processes, and goes on from the newest whole
    checkpoint, or from the start where there is none yet.

    Args:
        prepare: Makes what is to be trained.
        data: What to train on.
        run_dir: The run's folder.
        last: The checkpoint to begin at; None for the start.
        on_divergence: "stop" or "rollback".
        max_rollbacks: How often to go back, at most, since the run's beginning.

    Raises:
        Diverged: If training diverged and was to stop then.
        UserError: If it diverged once too often, or Lightning refuses the config.
        Interrupted: If a signal stopped it.
    """
    interrupts, seconds, resumed = StopOnSignal(), 0.0, last is not None
    past = [] if last is None else rollbacks_of(_load(last))
    try:
        while True:
            update = _update_of(last)
            trainer, model = prepare(past, interrupts, update)
            _tell(trainer, update=update, seconds=seconds, again=resumed or bool(past))
            try:
                only = True if last else None
                trainer.fit(model, datamodule=data, ckpt_path=last, weights_only=only)
                nothing_new = trainer.global_step == update and not trainer.callback_metrics
                if last is not None and nothing_new:
                    log.info("Nothing to do: the run is at update %d.", update)
                return trainer
            except MisconfigurationException as error:
                raise UserError(str(error)) from error
            except SystemExit as end:  # how Lightning ends on a KeyboardInterrupt
                if not isinstance(end.__context__, KeyboardInterrupt):
                    raise
                raise Interrupted(
                    f"Stopped at once, after update {trainer.global_step}: what was done since "
                    "the last checkpoint is lost."
                ) from None
            except (Exception, KeyboardInterrupt) as error:
                error.began = trainer.global_step > 0 or bool(past)  # the run is worth keeping
                if not isinstance(error, Diverged) or on_divergence == "stop":
                    raise
                if len(past) >= max_rollbacks:
                    raise _once_too_often(error, past) from error
                last = newest(run_dir)
                past = [*past, Rollback(error.what, error.update, to=_update_of(last))]
                seconds = _seconds(trainer)
            interrupts.install()  # the trainer has taken its handlers away, and ours with them
            log.warning(
                "%s, with other random numbers (rollback %d of at most %d).",
                past[-1], len(past), max_rollbacks,
            )  # fmt: skip
            del trainer, model
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    finally:
        interrupts.restore()


def _tell(trainer: L.Trainer, *, update: int, seconds: float, again: bool) -> None:
    """Tells loggers, and whoever counts the time, that a run goes on."""
    for logger in trainer.loggers:
        if again and hasattr(logger, "go_on_from"):
            logger.go_on_from(update)
    for callback in trainer.callbacks:
        if isinstance(callback, Log):
            callback.go_on_at(seconds)


def _seconds(trainer: L.Trainer) -> float:
    return max((c.seconds() for c in trainer.callbacks if isinstance(c, Log)), default=0.0)


def _once_too_often(error: Diverged, past: Sequence[Rollback]) -> UserError:
    lines = [f"{error.what} at update {error.update}, and max_rollbacks={len(past)} are used up:"]
    lines += [f"  {i}. {rollback}" for i, rollback in enumerate(past, 1)]
    lines += [
        "Try a smaller learning rate (optimizer.lr=...), or model/penalty=gradient for a GAN."
    ]
    stop = UserError("\n".join(lines))
    stop.began = True
    return stop


def _update_of(path: Path | None) -> int:
    return 0 if path is None else update_of(path)


def _load(path: Path) -> dict[str, Any]:
    return torch.load(path, "cpu", weights_only=True, mmap=True)
