"""Order of names in which frame_2 comes before frame_10."""

__all__ = ["natural_key"]

import re


def natural_key(name: str) -> list[tuple[int, str, str]]:
    """Return a key to sort names by: digits compare as numbers, other text by its letters."""
    return [
        (len(part.lstrip("0")), part.lstrip("0"), part) if part.isdecimal() else (-1, part, "")
        for part in re.split(r"(\d+)", name)
    ]
