"""The file status.json, which records the state of a run in its folder during training.

The file outlives the process that wrote it, so the state "running" may mean that the process was
killed. The lock (`limner.runs.lock`) distinguishes a running process from a killed one.
"""

__all__ = ["Status", "StatusFile", "read_status"]

import contextlib
import dataclasses
import errno
import json
import logging
import os
import socket
import time
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from limner.errors import Interrupted
from limner.files.atomic import sync_file, write_atomically
from limner.files.plain import NotPlainError, read_json
from limner.runs.shortages import shortage
from limner.version import FORMAT, __version__

log = logging.getLogger(__name__)

NAME = "status.json"
SECONDS = 10.0
"""Seconds between two writings of the current update."""


@dataclass(frozen=True)
class Status:
    """Content of status.json.

    Args:
        state: "running" (or killed), "finished", "stopped" by a signal, or "failed".
        update: Last known update; the newest checkpoint may be older.
        error: First line of the error of a failed run, else None.
        began: Time of the first start, in ISO 8601.
        changed: Time at which the file was written, in ISO 8601.
        starts: Number of times that the run was started or resumed.
        version: Version of limner at the last start.
        format: Format of the run, see `limner.version.FORMAT`; 1 if the file has no format.
        host: Machine of the first process.
        pid: Process id of the first process.
        job: SLURM job of the run, else None.
    """

    state: str = "running"
    update: int = 0
    error: str | None = None
    began: str = ""
    changed: str = ""
    starts: int = 0
    version: str = ""
    format: int = 1
    host: str = ""
    pid: int = 0
    job: str | None = None


class StatusFile:
    """Writer of the status.json of the run that this process trains.

    Args:
        folder: Run folder.
        may_write: Function that returns whether the folder still exists and belongs to this run;
            None to write always.
    """

    def __init__(self, folder: Path, *, may_write: Callable[[], bool] | None = None) -> None:
        self.folder, self._may_write = folder, may_write
        self._status: Status | None = None
        self._update = 0
        self._written = 0.0

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Write the state at the end of a training block: finished, stopped or failed."""
        try:
            yield
        except (Interrupted, KeyboardInterrupt, SystemExit):  # Lightning exits on a Ctrl-C
            self._end("stopped")
            raise
        except BaseException as error:
            told = shortage(error) or str(error) or type(error).__name__
            self.fail(told.splitlines()[0])
            raise
        self._end("finished")

    def begin(self, *, update: int) -> None:
        """Write that training has started; only the first process calls this method.

        Args:
            update: Update from which training starts.

        Raises:
            OSError: If the file cannot be written. Later failures only cause a warning.
        """
        self._update, before = update, read_status(self.folder) or Status()
        self._status = Status(
            began=before.began or _now(),
            starts=before.starts + 1,
            version=__version__,
            format=FORMAT,
            host=socket.gethostname(),
            pid=os.getpid(),
            job=os.environ.get("SLURM_JOB_ID"),
        )
        self._write(sync=True)

    def at(self, update: int) -> None:
        """Record the current update; write it every `SECONDS` seconds."""
        if self._status is None:
            return
        self._update = update
        if time.monotonic() - self._written > SECONDS:
            self._try_to_write(sync=False)

    def fail(self, error: str) -> None:
        """Write that the run failed, for a process that cannot end by an exception.

        Args:
            error: Reason of the failure in one line.
        """
        self._end("failed", error=error)

    def _end(self, state: str, *, error: str | None = None) -> None:
        if self._status is None:
            return
        self._status = dataclasses.replace(self._status, state=state, error=error)
        self._try_to_write(sync=True)

    def _try_to_write(self, *, sync: bool) -> None:
        if self._may_write is not None and not self._may_write():
            return
        try:
            self._write(sync=sync)
        except OSError as error:
            log.warning("%s cannot be written: %s", self.folder / NAME, error.strerror)
            self._written = float("inf")  # one warning is enough; the end tries again

    def _write(self, *, sync: bool) -> None:
        self._status = dataclasses.replace(self._status, update=self._update, changed=_now())
        text = json.dumps(dataclasses.asdict(self._status), indent=2) + "\n"
        path = self.folder / NAME
        try:
            write_atomically(path, text, sync=sync)
        except OSError as error:
            if not sync or error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            with open(path, "rb+") as file:  # on a full disk, overwrite the old file
                file.write(text.encode())
                file.truncate()
                sync_file(file)
        self._written = time.monotonic()


def read_status(folder: Path) -> Status | None:
    """Return the status of a run folder; None if it has no status.json.

    If the file is damaged or comes from a newer version, unreadable fields have their defaults. So
    the state is "running" unless the file states that the run has ended.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        found = read_json(path)
    except NotPlainError:
        found = {}
    found = found if isinstance(found, dict) else {}
    kinds = typing.get_type_hints(Status)
    fitting = {
        name: found[name]
        for name, kind in kinds.items()
        if name in found and isinstance(found[name], kind) and not isinstance(found[name], bool)
    }
    return Status(**fitting)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
