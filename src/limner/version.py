"""The version of limner, and which runs of other versions it can resume."""

__all__ = ["FORMAT", "__version__", "refuse_newer", "refuse_other_format"]

import contextlib

from packaging.version import InvalidVersion, Version

from limner.errors import UserError

__version__ = "0.1.0"
FORMAT = 2
"""Number of the layout of configs and checkpoints that training resumes from.

It rises when a run that was saved before can no longer be resumed exactly. Runs without a number
have format 1: their config calls the networks model/network and names classes of the old layout.
"""


def refuse_newer(version: str | None, what: str) -> None:
    """Raise `UserError` if `what` was made by a later version of limner than this one.

    An unknown version, or none, is accepted.
    """
    with contextlib.suppress(InvalidVersion):
        if version and Version(version) > Version(__version__):
            raise UserError(
                f"{what} was made by limner {version}; this is limner {__version__}, which may "
                "not know how to go on with it."
            )


def refuse_other_format(found: int, what: str) -> None:
    """Raise `UserError` if a run was saved in another format than this version resumes from.

    Args:
        found: Format of the run, 1 where it names none.
        what: Name of the run, to begin the message with.
    """
    if found != FORMAT:
        raise UserError(
            f"{what}: this run was saved by another version of limner (format {found}, here "
            f"{FORMAT}) and cannot be resumed by this one: resume it with that version, or begin "
            "a new run in another folder. limner.load, limner sample and limner evaluate still "
            "read it."
        )
