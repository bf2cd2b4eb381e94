"""Read scores.json, which a stranger may have written."""

__all__ = ["read_scores"]

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limner.files.plain import NotPlainError, read_json, refuse_bulk

MAX_BITS = 1000
"""Largest size of a whole number; larger ones do not fit a float."""


def read_scores(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return the entries of a scores.json, {} if there is no such file.

    Each entry has a `value`, a number that may be nan or infinite, for a run can come to that; a
    `protocol`, a mapping; and perhaps a `std`, a number too.

    Raises:
        NotPlainError: If the file is not like that.
    """
    if not os.path.lexists(path):
        return {}
    content = read_json(path)
    refuse_bulk(content, "it")
    if not isinstance(content, Mapping):
        raise NotPlainError("it is no mapping of names to scores")
    for name, entry in content.items():
        if not isinstance(entry, Mapping) or not isinstance(entry.get("protocol"), Mapping):
            raise NotPlainError(f"{name} is no score with its protocol")
        if not isinstance(entry["protocol"].get("update"), int | None):
            raise NotPlainError(f"the update of {name} is no whole number")
        for key in ("value", "std"):
            if key == "value" or key in entry:
                _refuse_no_number(entry.get(key), f"the {key} of {name}")
    return dict(content)


def _refuse_no_number(value: Any, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotPlainError(f"{name} is no number")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise NotPlainError(f"{name} is too large a number")
