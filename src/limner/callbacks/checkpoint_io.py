"""Writing of checkpoints without incomplete files, even on a full disk.

A run never writes into the folder of another run.
"""

__all__ = ["AtomicCheckpointIO"]

import errno
import logging
import shutil
from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import TorchCheckpointIO

from limner.errors import UserError
from limner.runs.checkpoints import write
from limner.runs.folder import RunFolder
from limner.runs.newest_checkpoint import spares

log = logging.getLogger(__name__)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoint plugin of Lightning that writes each file completely or not at all.

    Only the first process writes. The other processes wait at a barrier, where they would wait
    forever if the first process raised an exception. So an error of writing is not raised, but
    stored in `failure` (test_full_disk_stops_neither_of_two_processes).

    If the disk is full, the oldest checkpoints are removed to make room for the new
    checkpoint. The newest whole checkpoint and best.ckpt always stay.

    Args:
        folder: Run folder, which is created again if it was deleted; None to write without
            checking the folder.
    """

    failure: OSError | UserError | None = None
    """Error of the last attempt to write, in the process that writes; None after a success.

    A `UserError` means that the run may no longer write into the folder.
    """

    def __init__(self, folder: RunFolder | None = None) -> None:
        super().__init__()
        self.folder = folder
        self._is_said = False

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        self.failure = None
        try:
            if self.folder is not None:
                self.folder.restore()
            self._write(checkpoint, Path(path))
        except (OSError, UserError) as error:
            self.failure = error

    def _write(self, checkpoint: dict[str, Any], path: Path) -> None:
        """Write a checkpoint; on a full disk, remove older checkpoints until there is room."""
        given_up: list[str] = []
        left: list[Path] | None = None  # checkpoints that may be removed, the oldest first
        try:
            while True:
                try:
                    write(checkpoint, path)
                    return
                except OSError as error:
                    left = _worth_giving_up(path) if left is None else left
                    if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not left:
                        raise
                    left[0].unlink()
                    given_up.append(left.pop(0).name)
        finally:
            if given_up and not self._is_said:
                self._is_said = True
                log.warning(
                    "The disk is full: %s had to be removed to make room for %s. This may happen "
                    "again, without a further warning.", " and ".join(given_up), path.name,
                )  # fmt: skip


def _worth_giving_up(path: Path) -> list[Path]:
    """Return the checkpoints that may be removed; [] if that would not free enough space."""
    newest, older = spares(path.parents[1])
    if newest is None:
        return []
    room = shutil.disk_usage(path.parent).free + sum(one.stat().st_size for one in older)
    return older if room >= newest.stat().st_size else []
