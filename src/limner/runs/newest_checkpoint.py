"""The checkpoint from which a run is resumed: the newest whole one.

A newer checkpoint that is damaged, cut off or no checkpoint at all is skipped with a warning.
"""

__all__ = ["newest", "newest_or_refuse", "spares"]

import logging
from pathlib import Path

from limner.errors import UserError
from limner.runs.checkpoints import numbered, problem

log = logging.getLogger(__name__)


def newest(run_dir: Path) -> Path | None:
    """Return the newest whole checkpoint of a run, and warn of each newer one that is skipped.

    Return None, without a warning, if no checkpoint is whole.
    """
    skipped: dict[Path, str] = {}
    for path in numbered(run_dir):
        reason = problem(path)
        if reason is None:
            for other, why in skipped.items():
                log.warning("Skipped %s: it %s.", other, why)
            return path
        skipped[path] = reason
    return None


def newest_or_refuse(run_dir: Path) -> Path:
    """Return `newest(run_dir)`.

    Raises:
        UserError: If no checkpoint is whole, with what is wrong with each.
    """
    path = newest(run_dir)
    if path is None:
        reasons = [f"{path.name} {problem(path)}." for path in numbered(run_dir)]
        raise UserError("\n".join([f"{run_dir} has no whole checkpoint to go on from:", *reasons]))
    return path


def spares(run_dir: Path) -> tuple[Path | None, list[Path]]:
    """Return the newest whole checkpoint, and all other numbered ones, which may be given up.

    The others come oldest first. A run without a whole checkpoint has none to spare: (None, []).
    """
    paths = numbered(run_dir)
    whole = next((path for path in paths if problem(path) is None), None)
    return whole, [] if whole is None else [path for path in reversed(paths) if path != whole]
