"""Training to the end, with a rollback to the last checkpoint after each divergence."""

__all__ = ["fit"]

import gc
import logging
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from limner.callbacks.log import Log
from limner.callbacks.rollbacks import Rollback
from limner.config.build import composed
from limner.errors import Diverged, Interrupted, UserError
from limner.runs.checkpoints import update_of
from limner.runs.newest_checkpoint import newest
from limner.training.run import Run

log = logging.getLogger(__name__)


def fit(run: Run) -> L.Trainer:
    """Train to the end, and return the trainer.

    After a divergence, trainer and model are built again in the same processes. Training then
    resumes from the newest complete checkpoint, or from the start if there is none yet.

    Args:
        run: The run. This function updates its `progress`.

    Raises:
        Diverged: If training diverged and the config has on_divergence=stop.
        UserError: If training diverged more than max_rollbacks times, or if Lightning refuses the
            config.
        Interrupted: If a signal stopped training.
    """
    last, past, seconds = run.last, list(run.past), 0.0
    try:
        while True:
            _announce(run, last, seconds=seconds, again=run.last is not None or bool(past))
            try:
                _fit_once(run, last)
                return run.trainer
            except Diverged as error:
                if run.config.on_divergence == "stop":
                    raise
                if len(past) >= run.config.max_rollbacks:
                    raise _once_too_often(error, past) from error
                last = newest(run.folder.path)
                past.append(Rollback(error.what, error.update, to=_update_of(last)))
                seconds = _seconds(run.trainer)
            finally:
                run.progress.has_trained = run.trainer.global_step > 0 or bool(past)
            run.interrupts.install()  # the trainer has removed all signal handlers
            log.warning(
                "%s, with other random numbers (rollback %d of at most %d).",
                past[-1], len(past), run.config.max_rollbacks,
            )  # fmt: skip
            run.trainer = run.model = None
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            # The new trainer starts no further processes, because Lightning has left LOCAL_RANK in
            # the environment (test_two_processes_roll_back_together).
            run.build(past)
    finally:
        run.interrupts.restore()


def _fit_once(run: Run, last: Path | None) -> None:
    """Train from a checkpoint or from the start, until the end or a divergence."""
    trainer, update = run.trainer, _update_of(last)
    # Lightning converts the model after it has loaded the checkpoint, which would round weights of
    # 64 bits to 32 (test_run_in_another_precision_resumes_to_the_bit).
    run.model = trainer.precision_plugin.convert_module(run.model)
    try:
        trainer.fit(
            run.model,
            datamodule=run.data,
            ckpt_path=last,
            weights_only=True if last else None,
        )
    except MisconfigurationException as error:
        raise UserError(str(error)) from error
    except SystemExit as end:  # Lightning ends in this way on a KeyboardInterrupt
        if not isinstance(end.__context__, KeyboardInterrupt):
            raise
        if trainer.global_step == update:
            raise Interrupted(f"Stopped before update {update + 1}: nothing is lost.") from None
        raise Interrupted(
            f"Stopped at once, after update {trainer.global_step}: the updates since the last "
            "checkpoint are lost."
        ) from None
    # Lightning calls neither on_train_start nor on_train_end of callbacks for a finished run
    if last is not None and trainer.global_step == update and not trainer.callback_metrics:
        log.info("Nothing to do: the run is at update %d.", update)


def _announce(run: Run, last: Path | None, *, seconds: float, again: bool) -> None:
    """Prepare loggers and the callback `Log` for training that starts from `last`."""
    config = composed(run.config)
    for logger in run.trainer.loggers:
        logger.log_hyperparams(config)
        if again and hasattr(logger, "go_on_from"):
            logger.go_on_from(_update_of(last))
    for callback in run.trainer.callbacks:
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
    return UserError("\n".join(lines))


def _update_of(path: Path | None) -> int:
    return 0 if path is None else update_of(path)
