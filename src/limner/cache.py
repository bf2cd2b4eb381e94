"""A cache on disk for data that is slow to compute: decoded images, statistics, classifiers.

The cache also holds the locks on the user's folders, since those folders may be read-only.

Several processes can use the cache at once: one process builds an entry while the others wait. A
finished entry appears by a single rename, so a process that dies never leaves an incomplete entry.
"""

__all__ = [
    "CacheFull", "cache_dir", "cached_folder", "discard_folder", "find_folder", "folder_lock",
]  # fmt: skip

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock

from limner.errors import UserError
from limner.files.atomic import PARTIAL

log = logging.getLogger(__name__)


class CacheFull(UserError, OSError):
    """The disk of the cache is full, or its quota is used up.

    This class is an OSError too, for callers that can continue without the cache.

    Args:
        folder: Folder to which the cache was writing.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"No space left for the cache ({folder}).\n"
            "Make room, or name a folder on another disk: LIMNER_CACHE=DIR in the environment."
        )


def cache_dir() -> Path:
    """Return the folder of the cache: `LIMNER_CACHE` if it is set, else `~/.cache/limner`."""
    return Path(os.environ.get("LIMNER_CACHE", "~/.cache/limner")).expanduser()


def cached_folder(kind: str, key: object, build: Callable[[Path], None]) -> Path:
    """Return the folder for `key`; at the first call, `build` fills the folder.

    Args:
        kind: Sub-folder of the cache, such as "images".
        key: All that determines the content, as plain JSON data.
        build: Function that fills an empty folder; called only if no process has built the entry
            before.

    Returns:
        The finished folder. If the cache cannot be written, this is a temporary folder, and a
        warning is logged.

    Raises:
        CacheFull: If the disk is full while `build` writes.
    """
    folder = _path(kind, key)
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{folder}.lock")
        lock.acquire()
    except OSError as error:
        log.warning(
            "The cache %s cannot be written (%s). The result is not kept.", folder.parent, error
        )
        folder = Path(tempfile.mkdtemp(prefix="limner-"))
        with _named(folder):
            build(folder)
        return folder
    try:
        if not folder.is_dir():
            partial = folder.with_suffix(PARTIAL)
            shutil.rmtree(partial, ignore_errors=True)  # a killed process may have left a folder
            partial.mkdir()
            try:
                with _named(cache_dir()):
                    build(partial)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            os.replace(partial, folder)
        return folder
    finally:
        lock.release()


def find_folder(kind: str, key: object) -> Path | None:
    """Return the finished folder for `key`; None if no process has built it."""
    folder = _path(kind, key)
    return folder if folder.is_dir() else None


def discard_folder(kind: str, key: object) -> None:
    """Remove the folder for `key`, so that the next `cached_folder` builds it again."""
    folder = _path(kind, key)
    try:
        with FileLock(f"{folder}.lock"):
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        log.warning("The cache %s cannot be written (%s).", folder.parent, error)


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Let only one process of this machine at a time run the block for a folder.

    The lock is a file in the cache; nothing is written into the folder. If the cache cannot be
    written, there is no lock, and a warning is logged.

    Args:
        folder: Any folder; all paths to the same folder share one lock.
    """
    name = hashlib.sha256(os.path.realpath(folder).encode()).hexdigest()[:32]
    lock = FileLock(cache_dir() / "locks" / f"{name}.lock")
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as error:  # systems without locks raise the second error
        log.warning(
            "The cache %s cannot be written (%s), so there is no lock.", cache_dir(), error
        )
        yield
        return
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Turn the error of a full disk, which does not name the folder, into `CacheFull`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CacheFull(folder) from error
        raise


def _path(kind: str, key: object) -> Path:
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return cache_dir() / kind / name
