"""The run folder during training, with checks that it still exists and belongs to the run.

A person may delete or move the folder, or start another run in its place. A deleted folder does
not stop training: before the next checkpoint is written, the folder and its records are created
again, so that the run can be loaded and resumed. A run never writes into the folder of another
run.
"""

__all__ = ["RunFolder"]

import contextlib
import logging
import os
import socket
from enum import Enum
from pathlib import Path

from limner.errors import UserError
from limner.files.atomic import write_atomically
from limner.runs.lock import locked
from limner.runs.status import read_status

log = logging.getLogger(__name__)

RECORDS = ("config.yaml", "environment.txt", ".hydra/*.yaml")
"""Files that are written only when training starts."""
REMADE = ("events.out.tfevents.", "tensorboard", "wandb")
"""Starts of the names that a logger may create again by itself, together with the run folder."""


class _State(Enum):
    OURS = "ours"
    GONE = "gone"
    OTHER = "another's"


class RunFolder(contextlib.AbstractContextManager):
    """Folder of the run that this process trains; a context manager.

    Only the first process calls `begin`. In the other processes, the folder always counts as
    existing.

    Args:
        path: Path of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity: tuple[int, int] | None = None
        self._records: dict[str, bytes] = {}
        self._open = contextlib.ExitStack()
        self._is_said = False

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def begin(self) -> None:
        """Store the identity of the folder and its records; call this after they are written."""
        self._take()
        paths = [path for pattern in RECORDS for path in self.path.glob(pattern)]
        self._records = {str(path.relative_to(self.path)): path.read_bytes() for path in paths}

    def is_ours(self) -> bool:
        """Return whether this run may write into the folder now."""
        return self._state() is _State.OURS

    def check(self) -> None:
        """Warn once if the folder is gone.

        Raises:
            UserError: If another folder is in its place.
        """
        state = self._state()
        if state is _State.OTHER:
            raise _replaced(self.path)
        if state is _State.GONE and not self._is_said:
            self._is_said = True
            log.warning(
                "%s was deleted or moved during training. Its files are lost. The next "
                "checkpoint makes the folder again.", self.path,
            )  # fmt: skip
        if state is _State.GONE and self.path.exists():  # claim it before another run does
            with contextlib.suppress(OSError):
                self._make_again()

    def restore(self) -> None:
        """Create the folder and its records again if they are missing.

        Raises:
            UserError: If another folder is in its place.
            OSError: If the folder cannot be created.
        """
        self.check()
        self._make_again()

    def _make_again(self) -> None:
        is_gone = self._state() is _State.GONE
        missing = [name for name in self._records if not (self.path / name).exists()]
        if not is_gone and not missing:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        if is_gone:
            self._open.enter_context(locked(self.path))  # no other run may begin here
        for name in missing:
            path = self.path / name
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, self._records[name])
        self._take()
        self._is_said = False
        self._open_logs_again()
        log.warning("%s were missing in %s, and were written again.",
                    ", ".join(missing), self.path)  # fmt: skip

    def restore_after_training(self) -> None:
        """Create the folder again if it is gone, for files that are written after training.

        Raises:
            UserError: If the folder cannot be created, or another folder is in its place.
        """
        try:
            self.restore()
        except OSError as error:
            raise UserError(
                f"Training is over, but {self.path} was deleted meanwhile, and cannot be made "
                f"again ({error.strerror})."
            ) from error

    def _state(self) -> _State:
        if self._identity is None:
            return _State.OURS
        try:
            found = _identity(self.path)
            if found == self._identity:
                return _State.OURS
            if found is None or all(p.name.startswith(REMADE) for p in self.path.iterdir()):
                return _State.GONE
        except NotADirectoryError:
            return _State.OTHER
        except OSError:  # the disk does not answer now; the next write reports a lasting failure
            return _State.OURS
        status = read_status(self.path)
        if status is None or (status.pid, status.host) != (os.getpid(), socket.gethostname()):
            return _State.OTHER
        self._take()  # the folder was moved back, or the file system changes inode numbers
        with contextlib.suppress(UserError):  # if the numbers change, this process has the lock
            self._open.enter_context(locked(self.path))
        return _State.OURS

    def _take(self) -> None:
        """Store the identity of the current folder as this run's folder."""
        self._identity = _identity(self.path)
        with contextlib.suppress(OSError):  # Windows opens no folders
            handle = os.open(self.path, os.O_RDONLY)  # an open folder keeps its inode number
            self._open.callback(os.close, handle)

    def _open_logs_again(self) -> None:
        folder = self.path.absolute()
        for handler in logging.getLogger().handlers:
            if (
                isinstance(handler, logging.FileHandler)
                and folder in Path(handler.baseFilename).parents
            ):
                handler.close()  # the next record opens the file again


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the device and inode numbers, which identify a folder; None if there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def _replaced(path: Path) -> UserError:
    return UserError(
        f"{path} is no longer this run's: another folder took its place while the run was "
        "trained. Training ends because it must not write there."
    )
