"""Schedules: numbers that change over training.

The learning rate and the KL are multiplied by a schedule. The weight of a penalty, Adam's second
beta, the half-life of averaged weights and the probability of an augmentation may be a schedule.

A schedule is a function of the number of earlier updates only (see `limner.interfaces.Schedule`),
so a resumed run continues the schedule exactly. `Linear` and `Cosine` keep `start` until update
`first`, change to `end` by update `last`, and then keep `end`. With start 0 and end 1 they are a
warm-up; with start 1 and end 0 they are a decay.

`LinearWarmup` and `Cyclical` are schedules of the KL against posterior collapse: a decoder that is
first trained with a small KL weight ignores its codes less often than a decoder that is trained
with the full weight from the start.

An `Interval` decides when a run is validated, scored and pictured.
"""

__all__ = ["Cosine", "Cyclical", "Interval", "Linear", "LinearWarmup", "WarmupCosine"]

import bisect
import math


class Linear:
    """Linear change from one value to another.

    start + (end - start) s,  s = (update - first) / (last - first)  clamped to [0, 1]

    Args:
        start: Value up to update `first`, at least 0.
        end: Value from update `last` on, at least 0.
        first: Update at which the change begins, at least 0.
        last: Update at which the change ends, above `first`.
    """

    def __init__(self, *, start: float, end: float, first: int, last: int) -> None:
        if not 0 <= first < last:
            raise ValueError(
                f"A schedule from update first={first} to last={last}: must have 0 <= first < "
                "last. By default a schedule ends with training (last: ${num_updates})."
            )
        if not (start >= 0 and end >= 0):  # true for nan too
            raise ValueError(f"A schedule from start={start} to end={end}: must be 0 or more.")
        self.start, self.end, self.first, self.last = start, end, first, last

    def __call__(self, update: int) -> float:
        return self.start + (self.end - self.start) * self._progress(update)

    def _progress(self, update: int) -> float:
        return min(max((update - self.first) / (self.last - self.first), 0.0), 1.0)


class Cosine(Linear):
    """Change from one value to another along half a cosine.

    start + (end - start) (1 - cos(pi s)) / 2,  with s as in `Linear`

    Loshchilov and Hutter (2017), equation 5 without restarts, https://arxiv.org/abs/1608.03983.
    """

    def __call__(self, update: int) -> float:
        share = (1 - math.cos(math.pi * self._progress(update))) / 2
        return self.start + (self.end - self.start) * share


class WarmupCosine(Cosine):
    """Linear growth from 0 to 1 in w updates, then half a cosine from 1 to another value.

    (update + 1) / w,  before update w = max(1, round(warmup * last)); then as `Cosine`

    Goyal et al. (2017), section 2.2, https://arxiv.org/abs/1706.02677.

    Args:
        warmup: Share of the updates in which the value grows, in [0, 1).
        end: Value from update `last` on.
        last: Update at which the cosine ends, at least 1.
    """

    def __init__(self, *, warmup: float, end: float, last: int) -> None:
        if not 0 <= warmup < 1:
            raise ValueError(f"lr_schedule.warmup={warmup}: must be in [0, 1), a share.")
        self.num_warmup = max(1, round(warmup * last))
        super().__init__(start=1.0, end=end, first=self.num_warmup - 1, last=last)

    def __call__(self, update: int) -> float:
        return min((update + 1) / self.num_warmup, super().__call__(update))


class LinearWarmup(Linear):
    """Linear warm-up of the KL weight, as in the ladder VAE of Sonderby et al. (2016).

    min(1, update / num_updates)

    https://arxiv.org/abs/1602.02282

    Args:
        num_updates: Number of updates until the full weight, at least 1.
    """

    def __init__(self, *, num_updates: int) -> None:
        if num_updates < 1:
            raise ValueError(
                f"model.kl_schedule.num_updates={num_updates}: must be at least 1. For the full "
                "weight from the start: model/kl_schedule=none"
            )
        super().__init__(start=0.0, end=1.0, first=0, last=num_updates)


class Cyclical:
    """Cyclical KL weight: each cycle is a ramp from 0 to 1, followed by a constant 1.

    min(1, t / ramp),  t = (update mod period) / period

    Fu et al. (2019), https://arxiv.org/abs/1903.10145.

    Args:
        period: Number of updates in a cycle, at least 2. The paper uses 4 cycles in a training.
        ramp: Fraction of a cycle in which the weight grows, in (0, 1]; 0.5 in the paper.
    """

    def __init__(self, *, period: int, ramp: float) -> None:
        if period < 2:
            raise ValueError(f"model.kl_schedule.period={period}: must be 2 or more (updates).")
        if not 0 < ramp <= 1:
            raise ValueError(
                f"model.kl_schedule.ramp={ramp}: must be in (0, 1] (a part of a cycle)."
            )
        self.period, self.ramp = period, ramp

    def __call__(self, update: int) -> float:
        return min(1.0, (update % self.period) / self.period / self.ramp)


class Interval:
    """Times of repeated work, such as validation, that becomes rarer as training gets longer.

    The work is due at `every`, and then after each further interval, which is the least multiple
    of `every` that is at least `growth` times the count so far. So the work takes a share of the
    time that falls with the length of training. Whether the work is due depends on the count only:
    it is the same in every process, and in a resumed run.

    Args:
        every: First and smallest interval, at least 1 (updates, or epochs).
        growth: Share of the count so far, at least 0; 0 for a constant interval.
    """

    def __init__(self, *, every: int, growth: float) -> None:
        if every < 1:
            raise ValueError(f"An interval of {every}: must be 1 or more.")
        if growth < 0:
            raise ValueError(f"interval_growth={growth}: must be 0 or more.")
        self.every, self.growth = every, growth
        self._due = [every]

    def is_due(self, count: int) -> bool:
        """Return whether the work is due at this number of updates or epochs, at least 0."""
        if self.growth == 0:
            return count > 0 and count % self.every == 0
        while self._due[-1] < count:
            last = self._due[-1]
            steps = max(1, math.ceil(self.growth * last / self.every))
            self._due.append(last + steps * self.every)
        return self._due[bisect.bisect_left(self._due, count)] == count
