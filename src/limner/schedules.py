"""Numbers that change over training: weights of losses, factors of learning rates.

A schedule is a function of the number of updates before this one, and of nothing else, so a
resumed run goes on where it was. It holds `start` until update `first`, goes to `end` by update
`last`, and stays there. With start 0 and end 1 it warms up, the other way round it decays.
"""

__all__ = ["Cosine", "Linear"]

import math


class Linear:
    """start + (end - start) s,  s = (update - first) / (last - first)  in [0, 1].

    Args:
        start: Value up to update `first`.
        end: Value from update `last` on.
        first: Update at which it begins to change, at least 0.
        last: Update at which it has changed, above `first`.
    """

    def __init__(self, *, start: float, end: float, first: int, last: int) -> None:
        if not 0 <= first < last:
            raise ValueError(
                f"A schedule changes from update first={first} to last={last}: 0 <= first < last. "
                "To the end of training: trainer.max_steps=N."
            )
        self.start, self.end, self.first, self.last = start, end, first, last

    def __call__(self, update: int) -> float:
        return self.start + (self.end - self.start) * self._progress(update)

    def _progress(self, update: int) -> float:
        return min(max((update - self.first) / (self.last - self.first), 0.0), 1.0)


class Cosine(Linear):
    """start + (end - start) (1 - cos(pi s)) / 2, with s as of `Linear`.

    Loshchilov and Hutter (2017), equation 5 without restarts, https://arxiv.org/abs/1608.03983.
    """

    def __call__(self, update: int) -> float:
        share = (1 - math.cos(math.pi * self._progress(update))) / 2
        return self.start + (self.end - self.start) * share
