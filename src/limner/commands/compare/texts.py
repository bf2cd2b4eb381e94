"""Conversion of all values from a run's files into texts for tables."""

__all__ = ["label", "leaves", "text"]

from collections.abc import Mapping
from typing import Any

from limner.files.printable import printable

LONGEST = 120
"""Largest number of characters of a name or a value in a table."""


def leaves(value: Any, prefix: str = "") -> dict[str, str]:
    """Return dotted keys with their values as texts; a list of plain values is one leaf.

    Control characters are escaped in both, so that they are safe to print.
    """
    if isinstance(value, Mapping) and value:
        items: list[tuple[Any, Any]] = list(value.items())
    elif isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        items = list(enumerate(value))
    else:
        return {prefix: printable(text(value))}
    found: dict[str, str] = {}
    for key, part in items:
        name = printable(key)
        found |= leaves(part, f"{prefix}.{name}" if prefix else name)
    return found


def text(value: Any) -> str:
    """Return a value as a user types it on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(text(part) for part in value)}]"
    return str(value)


def label(words: str) -> str:
    """Shorten a text so that it fits a table."""
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 3]}..."
