"""Suggestions for misspelt names."""

__all__ = ["similar"]

import difflib
from collections.abc import Sequence


def similar(name: str, names: Sequence[str]) -> str:
    """Return `; did you mean X?` for the closest of `names`, or else list them all."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else f"; there are: {', '.join(sorted(names))}"
