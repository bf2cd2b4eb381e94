"""List of all files below a folder, following links."""

__all__ = ["MAX_FILES", "walk"]

import logging
import os
from pathlib import Path

from limner.errors import UserError

log = logging.getLogger(__name__)

MAX_FILES = 10_000_000
"""Largest number of files and folders to list; links can list the same file many times."""


def walk(root: Path) -> list[tuple[str, int, int]]:
    """Return (path below the root, size, time in ns) of every file that is not hidden.

    A file whose status cannot be read (a broken link, a loop of links) is listed with size and
    time 0, so that opening it raises an error with the reason. A folder that cannot be read is
    skipped with a warning.

    Args:
        root: Folder to list.

    Raises:
        UserError: If the root cannot be read, a link leads back to a folder that contains it, or
            there are too many files.
    """
    found: list[tuple[str, int, int]] = []
    num_folders = 0
    left = [(os.fspath(root), "", frozenset({_identity(root.stat())}))]
    while left:
        folder, prefix, above = left.pop()
        num_folders += 1
        try:
            entries = os.scandir(folder)
        except OSError as error:
            if num_folders == 1:
                reason = error.strerror or error
                raise UserError(f"data.path={root} cannot be read ({reason}).") from error
            log.warning("%s cannot be read (%s), and is skipped.", folder, error.strerror or error)
            continue
        with entries:
            for entry in entries:
                if entry.name.startswith((".", "__MACOSX")):
                    continue
                name = prefix + entry.name
                try:
                    if entry.is_dir():
                        identity = _identity(entry.stat())
                        if identity in above or _leads_up(entry):
                            raise UserError(
                                f"data.path={root}: {entry.path} is a link back to a folder that "
                                "holds it; remove the link."
                            )
                        left.append((entry.path, f"{name}/", above | {identity}))
                        continue
                    status = entry.stat()
                    found.append((name, status.st_size, status.st_mtime_ns))
                except OSError:
                    found.append((name, 0, 0))
            if len(found) + num_folders + len(left) > MAX_FILES:
                raise UserError(
                    f"data.path={root} holds more than {MAX_FILES:,} files, of which some may be "
                    "links to the same folders; name a smaller folder."
                )
    return found


def _leads_up(entry: os.DirEntry) -> bool:
    """Return whether an entry is a link to a folder above it, even one above the root."""
    if not entry.is_symlink():
        return False
    target, holder = (os.path.realpath(path) for path in (entry.path, Path(entry.path).parent))
    return os.path.commonpath([target, holder]) == target


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
