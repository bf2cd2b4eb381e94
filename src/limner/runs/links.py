"""Checks for links in a run folder through which a command would access other folders."""

__all__ = ["leads_out", "refuse_links"]

import os
from collections.abc import Iterator
from pathlib import Path

from limner.errors import UserError

UNFOLLOWED = ("tensorboard", "wandb")
"""Folders of loggers, which contain links to caches; loggers write under new names only."""


def refuse_links(folder: Path) -> None:
    """Raise `UserError` if a file of a run is a link that leads out of the run's folder."""
    try:
        for path in _entries(folder):
            if path.is_symlink() and leads_out(path, folder):
                raise UserError(f"{path} is refused: it is a link that leads out of the folder.")
    except OSError as error:  # a name that is too long, a folder that may not be listed
        raise UserError(f"{folder} cannot be read ({error.strerror or error}).") from error


def leads_out(path: Path, folder: Path) -> bool:
    """Return whether a path is outside of a folder after its links are followed."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _entries(folder: Path) -> Iterator[Path]:
    """Yield the entries of a run folder and of the folders in it."""
    for path in folder.iterdir() if folder.is_dir() else ():
        yield path
        if path.is_dir() and not path.is_symlink() and path.name not in UNFOLLOWED:
            yield from path.iterdir()
