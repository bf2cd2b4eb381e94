"""The newest whole checkpoint, from which a run is resumed.

Newer files that are damaged, truncated or not checkpoints are skipped with a warning.
"""

__all__ = ["newest", "newest_or_refuse", "spares"]

import logging
from pathlib import Path

from limner.errors import UserError
from limner.runs.checkpoints import numbered, problem

log = logging.getLogger(__name__)


def newest(run_dir: Path) -> Path | None:
    """Return the newest whole checkpoint of a run, and warn of each newer file that is skipped.

    If no checkpoint is whole, return None without a warning.
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
    """Return the newest whole checkpoint of a run, or raise an error.

    Raises:
        UserError: If no checkpoint is whole; the message lists the damage of each.
    """
    path = newest(run_dir)
    if path is None:
        reasons = [f"{path.name} {problem(path)}." for path in numbered(run_dir)]
        raise UserError(
            "\n".join([f"{run_dir} has no whole checkpoint to resume from:", *reasons])
        )
    return path


def spares(run_dir: Path) -> tuple[Path | None, list[Path]]:
    """Return the newest whole checkpoint, and all other numbered checkpoints, oldest first.

    The other checkpoints may be removed to make room. If no checkpoint is whole, none may be
    removed, and the result is (None, []).
    """
    paths = numbered(run_dir)
    whole = next((path for path in paths if problem(path) is None), None)
    return whole, [] if whole is None else [path for path in reversed(paths) if path != whole]
