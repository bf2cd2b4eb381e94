"""What the folders of runs are called, beside the time: no two are the same."""

__all__ = ["file_name", "suffix"]

import hashlib
import re
import secrets

LONGEST = 150
"""Characters of a folder's name; file systems take 255 bytes."""


def suffix() -> str:
    """For runs that start in the same second."""
    return secrets.token_hex(2)


def file_name(overrides: str) -> str:
    """The overrides of a job of a sweep, separated by commas, as one folder's name.

    Where that leaves anything out, but for the slash of a group, a hash tells the names apart.
    """
    name = re.sub(r"[^\w.,=+-]+", "-", overrides)
    if len(name) > LONGEST or name != re.sub("/(?=[^,]*=)", "-", overrides):
        name = f"{name[:LONGEST]}_{hashlib.sha256(overrides.encode()).hexdigest()[:6]}"
    return name or "defaults"
