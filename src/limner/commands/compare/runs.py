"""The runs in the folders that a command line names."""

__all__ = ["find"]

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from limner.commands.compare.records import Run, read_run
from limner.errors import UserError
from limner.files.natural_order import natural_key
from limner.files.printable import printable


def find(words: Sequence[str]) -> list[Run]:
    """Return the runs that words name: by run folders, folders of runs, or patterns.

    Raises:
        UserError: If a word names no folder, or a folder without a run.
    """
    if not words:
        raise UserError("No run is named: limner compare outputs/RUN outputs/RUN ...")
    found: dict[Path, Path] = {}
    for word in words:
        for start in _expanded(word):
            folders = list(_run_folders(start))
            if not folders:
                raise UserError(
                    f"{printable(word)}: there is no run in this folder (no config.yaml)."
                )
            for folder in folders:
                found.setdefault(folder.resolve(), folder)
    return [read_run(folder) for folder in found.values()]


def _expanded(word: str) -> list[Path]:
    path = Path(word).expanduser()
    if path.is_dir():
        return [path]
    if path.exists():
        raise UserError(f"{printable(word)}: is a file; name the folder of a run.")
    folders = [found for found in map(Path, sorted(glob.glob(str(path)))) if found.is_dir()]
    if not folders:
        raise UserError(f"{printable(word)}: there is no such folder.")
    return folders


def _run_folders(start: Path) -> Iterator[Path]:
    """Yield `start` if it is a run, else all runs below it, in the order of their names."""
    for parent, folders, files in os.walk(start):
        if "config.yaml" in files or ".hydra" in folders:
            folders.clear()
            yield Path(parent)
        folders[:] = sorted((name for name in folders if name[0] != "."), key=natural_key)
