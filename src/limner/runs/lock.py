"""A lock on the folder of a run, which goes with the process that trains it, however that ends."""

__all__ = ["RunInUse", "being_trained", "is_locked", "locked"]

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from limner.errors import UserError
from limner.runs.status import Status, read_status

log = logging.getLogger(__name__)

LOCK = ".lock"


class RunInUse(UserError):
    """Another process trains the run in this folder, which is not ours to remove."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps a run to this process for as long as it trains it.

    Where the file system has no locks, a warning is given, and nothing is kept.

    Raises:
        RunInUse: If another process has it.
    """
    lock = _acquired(folder)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a process trains the run in this folder right now. Creates no file."""
    if not (folder / LOCK).exists():
        return False
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    except (OSError, NotImplementedError):  # another user's file, or no locks here
        return False
    lock.release()
    return False


def being_trained(folder: Path) -> str:
    """The message that a run cannot be gone on with for now."""
    status = read_status(folder) or Status()
    by = f" (process {status.pid} on {status.host})" if status.pid else ""
    return f"{folder} is being trained right now{by}; it can be gone on with once that has ended."


def _acquired(folder: Path) -> FileLock | None:
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise RunInUse(being_trained(folder)) from None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, PermissionError):
            raise
        log.warning("%s: no lock (%s): a second process would not be noticed.", folder, error)
        return None
    if isinstance(lock, SoftFileLock):  # what filelock makes of it where there are no locks: a
        lock.release()  # file that would outlive a killed process
        log.warning("%s: the file system has no locks: a second process would not be noticed.",
                    folder)  # fmt: skip
        return None
    return lock
