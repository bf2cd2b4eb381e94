"""The times that a run went back to an earlier checkpoint, since training had diverged.

What comes after n of them follows from the checkpoint and n: they are in each checkpoint that is
written later, and the random numbers after them are those of another seed, made from the run's
seed and n. So a run that goes on from such a checkpoint goes on with the same numbers; and one
that was stopped before there was such a checkpoint diverges again, and goes back again, as it did.
"""

__all__ = ["Rollback", "Rollbacks", "rollbacks_of", "seed_after"]

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import lightning as L

from limner.randomness import seed_for


@dataclass(frozen=True)
class Rollback:
    """One of those times.

    Args:
        why: What training was seen to have diverged by, e.g. "train/loss is nan".
        update: After which update.
        to: The update that it went on from; 0 for the start.
    """

    why: str
    update: int
    to: int

    def __str__(self) -> str:
        where = f"the checkpoint of update {self.to}" if self.to else "the start"
        return f"{self.why} at update {self.update}: back to {where}"


class Rollbacks(L.Callback):
    """Writes into each checkpoint which rollbacks there were before it.

    Args:
        past: Those, the first one first.
    """

    def __init__(self, past: Sequence[Rollback]) -> None:
        self.past = list(past)

    def state_dict(self) -> dict[str, Any]:
        return {"past": self.entries()}

    def entries(self) -> list[dict[str, Any]]:
        """As plain data, for scores.json too."""
        return [asdict(rollback) for rollback in self.past]


def rollbacks_of(checkpoint: Mapping[str, Any]) -> list[Rollback]:
    """Those that a loaded checkpoint tells of."""
    state = checkpoint["callbacks"].get("Rollbacks", {"past": []})
    return [Rollback(**entry) for entry in state["past"]]


def seed_after(seed: int, num_rollbacks: int) -> int:
    """What the order of the images and all noise of training follow from, instead of `seed`.

    Before the first rollback it is `seed`.
    """
    return seed if num_rollbacks == 0 else seed_for(seed, "rollback", num_rollbacks)
