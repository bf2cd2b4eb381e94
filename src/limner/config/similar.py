"""Suggestions for misspelt names."""

__all__ = ["similar"]

import difflib
from collections.abc import Sequence


def similar(name: str, names: Sequence[str], *, within: str = "") -> str:
    """Return `; did you mean X?` for the closest of `names`, or else list them all.

    Args:
        name: Name that does not exist.
        names: Names that exist.
        within: Key before the names, such as "optimizer."; it precedes a suggestion.
    """
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {within}{close[0]}?"
    return f"; there are: {', '.join(sorted(names))}"
