"""How checkpoints are written: whole, on a full disk too, and into no other run's folder."""

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
    """Writes files that are whole or not there.

    That one could not be written is kept, not raised: only the first process writes, and the
    others wait for it.

    Where the disk is full, older checkpoints are given up for the new one, the oldest first. The
    newest whole one stays in any case, and best.ckpt.

    Args:
        folder: The run's folder, which is made again where it was deleted; None for a folder that
            nobody looks after.
    """

    failure: OSError | UserError | None = None
    """Why the last writing failed, in the process that writes; None if it did not. A `UserError`
    if nothing may be written there any more."""

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
        """Writes it, and gives up one older checkpoint after the other for it if need be."""
        given_up: list[str] = []
        left: list[Path] | None = None  # what may be given up, the oldest first
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
                    "The disk is full: %s had to go to make room for %s. This may happen again, "
                    "and is not said again.", " and ".join(given_up), path.name,
                )  # fmt: skip


def _worth_giving_up(path: Path) -> list[Path]:
    """The checkpoints that a new one may take the room of; none if it would not be enough."""
    newest, older = spares(path.parents[1])
    if newest is None:
        return []
    room = shutil.disk_usage(path.parent).free + sum(one.stat().st_size for one in older)
    return older if room >= newest.stat().st_size else []
