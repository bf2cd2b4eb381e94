"""Names of run folders, beside the time in them; no two are the same."""

__all__ = ["file_name", "suffix"]

import hashlib
import re
import secrets

LONGEST = 150
"""Largest number of characters in a folder's name; file systems allow 255 bytes."""


def suffix() -> str:
    """Return four random characters, which tell apart runs started in the same second."""
    return secrets.token_hex(2)


def file_name(overrides: str) -> str:
    """Return a folder name for the overrides of a job of a sweep, separated by commas.

    If the name leaves out anything but the slash of a group, a hash keeps it distinct.
    """
    name = re.sub(r"[^\w.,=+-]+", "-", overrides)
    if len(name) > LONGEST or name != re.sub("/(?=[^,]*=)", "-", overrides):
        name = f"{name[:LONGEST]}_{hashlib.sha256(overrides.encode()).hexdigest()[:6]}"
    return name or "defaults"
