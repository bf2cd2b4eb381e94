"""How the weight of the KL grows from 0 to its full value: factors in [0, 1] of the update number.

A decoder that may first learn without the KL's pull uses its codes more often than one that has
to pay for them from the start (posterior collapse).
"""

__all__ = ["Cyclical", "LinearWarmup"]


class LinearWarmup:
    """min(1, update / num_updates), as in the ladder VAE of Sonderby et al. (2016).

    https://arxiv.org/abs/1602.02282

    Args:
        num_updates: Until the full weight, at least 1.
    """

    def __init__(self, *, num_updates: int) -> None:
        if num_updates < 1:
            raise ValueError(
                f"model.kl_schedule.num_updates={num_updates}: must be at least 1; "
                "model/kl_schedule=none for the full weight from the start"
            )
        self.num_updates = num_updates

    def __call__(self, update: int) -> float:
        return min(1.0, update / self.num_updates)


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
