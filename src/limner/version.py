"""The version of limner, and the checks of runs that other versions have saved."""

__all__ = ["FORMAT", "__version__", "refuse_newer", "refuse_other_format"]

import contextlib

from packaging.version import InvalidVersion, Version

from limner.errors import UserError

__version__ = "0.1.0"
FORMAT = 2
"""Number of the format of configs and checkpoints from which training resumes.

The number rises when runs saved by earlier versions can no longer be resumed exactly. Runs without
a number have format 1: their config calls the networks model/network, and names classes of the old
layout.
"""


def refuse_newer(version: str | None, what: str) -> None:
    """Raise `UserError` if `what` was made by a newer version of limner.

    Args:
        version: Version that made it. None and a text that is not a version are accepted.
        what: Name of the thing, at the start of the message.
    """
    with contextlib.suppress(InvalidVersion):
        if version and Version(version) > Version(__version__):
            raise UserError(
                f"{what} was made by limner {version}; this is limner {__version__}, which may "
                "be unable to resume it."
            )


def refuse_other_format(found: int, what: str) -> None:
    """Raise `UserError` if this version cannot resume runs of a format.

    Args:
        found: Format of the run; 1 if the run has no number.
        what: Name of the run, at the start of the message.
    """
    if found != FORMAT:
        raise UserError(
            f"{what}: this run was saved by another version of limner (format {found}, here "
            f"{FORMAT}) and cannot be resumed by this version: resume it with the other "
            "version, or begin a new run in another folder. limner.load, limner sample and "
            "limner evaluate still read it."
        )
