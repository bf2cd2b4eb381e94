"""State that a call from Python restores: Hydra's state, log handlers and the environment."""

__all__ = ["alone", "logged_into", "messages_as_errors", "undisturbed"]

import contextlib
import copy
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobRuntime
from hydra.version import VersionBase, setbase

from limner.config.error_messages import explain
from limner.console import ConsoleHandler, FileHandler
from limner.errors import UserError

SET_IN_TRAINING = ("HYDRA_FULL_ERROR", "PL_GLOBAL_SEED", "PL_SEED_WORKERS")
"""Environment variables that composing and training set."""
TIMED = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_lock = threading.Lock()


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Refuse a second call at the same time: runs share torch's seeds and Hydra's state.

    Args:
        name: Name of the function, for the message.

    Raises:
        UserError: If such a call is running in this process, in this thread or another.
    """
    if not _lock.acquire(blocking=False):
        raise UserError(
            f"{name}: another call of limner runs in this process. Wait until it has ended, or "
            "use another process: runs share the seeds of torch."
        )
    try:
        yield
    finally:
        _lock.release()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Restore the state of Hydra, the log handlers and the environment after the block.

    So several calls in one process work, also while a Hydra app runs.
    """
    hydra, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    base = VersionBase.instance().getbase()
    runtime = copy.deepcopy(JobRuntime.instance().conf)
    loggers = [logging.getLogger(), logging.getLogger("limner")]
    handlers = [(each, each.handlers[:], each.level) for each in loggers]
    environment = {name: os.environ.get(name) for name in SET_IN_TRAINING}
    GlobalHydra.instance().hydra = None
    setbase("1.3")
    try:
        yield
    finally:
        JobRuntime.instance().conf = runtime
        VersionBase.instance().version_base = base
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = hydra, config
        for logger, before, level in handlers:
            for handler in logger.handlers[:]:
                if handler not in before:
                    logger.removeHandler(handler)
                    handler.close()
            logger.setLevel(level)
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def logged_into(run_dir: Path) -> None:
    """Print limner's messages, and write all messages to train.log, until `undisturbed` ends."""
    speaker = logging.getLogger("limner")
    speaker.setLevel(logging.INFO)
    if not any(isinstance(handler, ConsoleHandler) for handler in _heard_by(speaker)):
        speaker.addHandler(ConsoleHandler())
    file = FileHandler(run_dir / "train.log", delay=True)
    file.setFormatter(logging.Formatter(TIMED))
    logging.getLogger().addHandler(file)


@contextlib.contextmanager
def messages_as_errors(*, debug: bool = False) -> Iterator[None]:
    """Turn exceptions that the command line explains into a `UserError` with the same message.

    Args:
        debug: Whether to pass every exception as it is.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        explained = None if debug else explain(error)
        if explained is None:
            raise
        raise UserError(explained[0]) from error


def _heard_by(logger: logging.Logger) -> list[logging.Handler]:
    return [*logger.handlers, *logging.getLogger().handlers]
