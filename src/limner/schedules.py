"""Numbers that change over training: factors of learning rates, of the KL, weights of penalties.

A schedule is a function of the number of updates before this one, and of nothing else (see
`limner.interfaces.Schedule`), so a resumed run continues where it was. `Linear` and `Cosine` hold
`start` until update `first`, go to `end` by update `last`, and stay there. With start 0 and end 1
they warm up, the other way round they decay.

A decoder that may first learn without the KL's pull uses its codes more often than one that has
to pay for them from the start (posterior collapse): `LinearWarmup` and `Cyclical`.
"""

__all__ = ["Cosine", "Cyclical", "Linear", "LinearWarmup"]

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
                "By default it ends with training (last: ${num_updates})."
            )
        self.start, self.end, self.first, self.last = start, end, first, last

    def __call__(self, update: int) -> float:
        return self.start + (self.end - self.start) * self._progress(update)

    def _progress(self, update: int) -> float:
        return min(max((update - self.first) / (self.last - self.first), 0.0), 1.0)


class Cosine(Linear):
    """start + (end - start) (1 - cos(pi s)) / 2, with s as in `Linear`.

    Loshchilov and Hutter (2017), equation 5 without restarts, https://arxiv.org/abs/1608.03983.
    """

    def __call__(self, update: int) -> float:
        share = (1 - math.cos(math.pi * self._progress(update))) / 2
        return self.start + (self.end - self.start) * share


class LinearWarmup(Linear):
    """min(1, update / num_updates), as in the ladder VAE of Sonderby et al. (2016).

    https://arxiv.org/abs/1602.02282

    Args:
        num_updates: Updates until the full weight, at least 1.
    """

    def __init__(self, *, num_updates: int) -> None:
        if num_updates < 1:
            raise ValueError(
                f"model.kl_schedule.num_updates={num_updates}: must be at least 1; "
                "model/kl_schedule=none for the full weight from the start"
            )
        super().__init__(start=0.0, end=1.0, first=0, last=num_updates)


class Cyclical:
    """In each cycle a ramp from 0 to 1 and then 1; Fu et al. (2019), https://arxiv.org/abs/1903.10145.

    min(1, t / ramp),  t = (update mod period) / period

    Args:
        period: Updates of a cycle, at least 2. The paper has 4 cycles in a training.
        ramp: The part of a cycle in which the weight grows, in (0, 1]; 0.5 in the paper.
    """

    def __init__(self, *, period: int, ramp: float) -> None:
        if period < 2:
            raise ValueError(f"model.kl_schedule.period={period}: updates, at least 2.")
        if not 0 < ramp <= 1:
            raise ValueError(f"model.kl_schedule.ramp={ramp}: a part of a cycle, in (0, 1].")
        self.period, self.ramp = period, ramp

    def __call__(self, update: int) -> float:
        return min(1.0, (update % self.period) / self.period / self.ramp)
