"""How far a run came, for whoever handles the error that ended it."""

__all__ = ["Progress"]

from dataclasses import dataclass


@dataclass
class Progress:
    """How far a run came.

    Args:
        has_trained: Whether an update was done, so that the run folder is worth keeping. From then
            on all processes of a run end by the same `UserError`.
    """

    has_trained: bool = False
