"""Rollbacks: returns of a diverged run to an earlier checkpoint.

Training after n rollbacks depends only on the checkpoint and n. Each later checkpoint contains the
rollbacks, and the random numbers after n rollbacks come from another seed, computed from the run's
seed and n. So a run that resumes from a later checkpoint uses the same random numbers. A run that
was stopped before it wrote a later checkpoint diverges again, and rolls back again in the same
way.
"""

__all__ = ["Rollback", "Rollbacks", "rollbacks_of", "seed_after"]

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import lightning as L

from limner.randomness import seed_for


@dataclass(frozen=True)
class Rollback:
    """One rollback of a run.

    Args:
        why: Observed sign of the divergence, such as "train/loss is nan".
        update: Update after which the divergence was observed.
        to: Update from which training continued; 0 for the start.
    """

    why: str
    update: int
    to: int

    def __str__(self) -> str:
        where = f"the checkpoint of update {self.to}" if self.to else "the start"
        return f"{self.why} at update {self.update}: back to {where}"


class Rollbacks(L.Callback):
    """Callback that saves the earlier rollbacks of a run in each checkpoint.

    Args:
        past: Rollbacks so far, in order.
    """

    def __init__(self, past: Sequence[Rollback]) -> None:
        self.past = list(past)

    def state_dict(self) -> dict[str, Any]:
        return {"past": self.entries()}

    def entries(self) -> list[dict[str, Any]]:
        """Return the rollbacks as plain data, for checkpoints and scores.json."""
        return [asdict(rollback) for rollback in self.past]


def rollbacks_of(checkpoint: Mapping[str, Any]) -> list[Rollback]:
    """Return the rollbacks that are recorded in a loaded checkpoint."""
    state = checkpoint["callbacks"].get("Rollbacks", {"past": []})
    return [Rollback(**entry) for entry in state["past"]]


def seed_after(seed: int, num_rollbacks: int) -> int:
    """Return the seed of training after a number of rollbacks.

    The order of the images and all noise of training follow from this seed.

    Args:
        seed: Seed of the run, which is returned if there was no rollback.
        num_rollbacks: Number of rollbacks so far.
    """
    return seed if num_rollbacks == 0 else seed_for(seed, "rollback", num_rollbacks)
