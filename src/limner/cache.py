"""A cache on disk for what is slow to make: decoded images, their statistics, classifiers.

Safe among processes: one builds while the others wait, and a process that dies leaves nothing that
could be taken for a finished entry, since an entry appears by a single rename.
"""

__all__ = ["cache_dir", "cached_folder", "discard_folder", "find_folder"]

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from limner.files.atomic import PARTIAL

log = logging.getLogger(__name__)


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
        build(folder)
        return folder
    try:
        if not folder.is_dir():
            partial = folder.with_suffix(PARTIAL)
            shutil.rmtree(partial, ignore_errors=True)  # a killed process may have left one
            partial.mkdir()
            try:
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


def _path(kind: str, key: object) -> Path:
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return cache_dir() / kind / name
