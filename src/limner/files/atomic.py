"""Atomic writes: a file is complete or absent, even if the process or the machine stops."""

__all__ = ["PARTIAL", "atomic_file", "sync_file", "sync_folder", "write_atomically"]

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

PARTIAL = ".partial"
"""Ending of the name of a file that is being written. A killed process may leave such a file."""


@contextlib.contextmanager
def atomic_file(path: Path, *, sync: bool) -> Iterator[IO[bytes]]:
    """Open a temporary file for writing bytes, which replaces `path` when the block ends.

    Until then the old file stays unchanged. If the block raises, the old file stays, and the
    temporary file is removed.

    Args:
        path: Path of the file to write, in an existing folder.
        sync: Whether the new file must survive a power cut; this takes some milliseconds.

    Raises:
        OSError: If the file cannot be written, or the disk does not confirm it.
    """
    partial = path.with_name(path.name + PARTIAL)
    try:
        with open(partial, "wb") as file:
            yield file
            if sync:
                sync_file(file)
        os.replace(partial, path)
        if sync:
            sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: str | bytes, *, sync: bool = False) -> None:
    """Write a small file in one step, see `atomic_file`; text is encoded as UTF-8."""
    with atomic_file(path, sync=sync) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def sync_file(file: IO[bytes]) -> None:
    """Flush and sync an open file, so that its content survives a power cut."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder, if the system can, so that they survive a power cut."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows cannot open folders
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)
