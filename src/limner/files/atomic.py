"""Files that are there whole or not at all, whenever the process or the machine stops."""

__all__ = ["PARTIAL", "atomic_file", "sync_file", "sync_folder", "write_atomically"]

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

PARTIAL = ".partial"
"""Ending of a file that is being written. A killed process may leave one."""


@contextlib.contextmanager
def atomic_file(path: Path, *, sync: bool) -> Iterator[IO[bytes]]:
    """Open a file for writing bytes that takes the place of `path` when the block ends.

    Until then, and if the block raises, the old file stays as it is and nothing half is left.

    Args:
        path: The file to write; its folder exists.
        sync: Whether the new file must outlast a power cut, which takes some milliseconds.

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
    """Write a small file in one step, see `atomic_file`; text becomes UTF-8."""
    with atomic_file(path, sync=sync) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def sync_file(file: IO[bytes]) -> None:
    """Make what was written to an open file outlast a power cut."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlast a power cut, where the system can do so for folders."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)
