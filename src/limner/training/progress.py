"""The progress of a run, for the code that handles an error which ended the run."""

__all__ = ["Progress"]

from dataclasses import dataclass


@dataclass
class Progress:
    """Progress of a run.

    Args:
        has_trained: Whether the run has done an update, so that its folder is worth keeping. From
            then on all processes of a run end with the same `UserError`.
    """

    has_trained: bool = False
