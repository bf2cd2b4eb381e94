"""The version of limner, and the refusal of runs made by a later version."""

__all__ = ["__version__", "refuse_newer"]

import contextlib

from packaging.version import InvalidVersion, Version

from limner.errors import UserError

__version__ = "0.1.0"


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
