"""Lock on a run folder, which the system releases when the process ends for any reason."""

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
    """An attempt to train a run that another process is training; the folder must be kept."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a run folder for this process during a block.

    If the file system has no locks, a warning is logged, and the folder is not locked.

    Raises:
        RunInUse: If another process has the lock.
    """
    lock = _acquired(folder)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def is_locked(folder: Path) -> bool:
    """Return whether a process is training the run in this folder; create no file."""
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
    """Return the message that a run is being trained, so it cannot be resumed now."""
    status = read_status(folder) or Status()
    by = f" (process {status.pid} on {status.host})" if status.pid else ""
    return f"{folder} is being trained right now{by}; resume it when that process has ended."


def _acquired(folder: Path) -> FileLock | None:
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise RunInUse(being_trained(folder)) from None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, PermissionError):
            raise
        log.warning(
            "%s cannot be locked (%s), so a second process would not be noticed.", folder, error
        )
        return None
    if isinstance(lock, SoftFileLock):  # filelock's substitute on a file system without locks,
        lock.release()  # a file that would outlive a killed process
        # test_run_is_trained_when_the_file_system_has_no_locks
        log.warning("%s: the file system has no locks, so a second process would not be noticed.",
                    folder)  # fmt: skip
        return None
    return lock
