"""A cache on disk for what is slow to make: decoded images, their statistics, classifiers.

Locks on folders of a user's lie here too, since those folders may be read-only.

Safe among processes: one builds while the others wait, and a process that dies leaves nothing that
could be taken for a finished entry, since an entry appears by a single rename.
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
    """The disk of the cache, or a quota on it, has no room. It is an OSError, for those who do
    without what is not kept.

    Args:
        folder: The folder that was written to.
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
    """Return the folder for `key`; `build` fills it at the first call.

    Args:
        kind: The sub-folder of the cache, e.g. "images".
        key: Whatever determines the content, as plain JSON data.
        build: Fills the empty folder that it is given; called only if no process did so before.

    Returns:
        The finished folder; a temporary one, with a warning, where the cache cannot be written.

    Raises:
        CacheFull: If `build` finds no room on the disk.
    """
    folder = _path(kind, key)
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{folder}.lock")
        lock.acquire()
    except OSError as error:
        log.warning("The cache %s cannot be written (%s): not kept.", folder.parent, error)
        folder = Path(tempfile.mkdtemp(prefix="limner-"))
        with _named(folder):
            build(folder)
        return folder
    try:
        if not folder.is_dir():
            partial = folder.with_suffix(PARTIAL)
            shutil.rmtree(partial, ignore_errors=True)  # a killed process may have left one
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
    """Return the finished folder for `key`; None if nothing has been built."""
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
    """Let one process of this machine at a time work in a folder, into which nothing is written.

    Without a cache that can be written there is no lock, and a warning says so.

    Args:
        folder: Any folder; all paths to it share one lock.
    """
    name = hashlib.sha256(os.path.realpath(folder).encode()).hexdigest()[:32]
    lock = FileLock(cache_dir() / "locks" / f"{name}.lock")
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as error:  # filelock's word for a lack of locks
        log.warning("The cache %s cannot be written (%s): no lock.", cache_dir(), error)
        yield
        return
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Name the folder where a disk has no room, which the error itself does not."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CacheFull(folder) from error
        raise


def _path(kind: str, key: object) -> Path:
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return cache_dir() / kind / name
