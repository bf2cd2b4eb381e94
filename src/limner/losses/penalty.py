"""Penalties that are added to the discriminator's loss, their weights and their intervals.

A penalty is called with (d, pairs, uniform=...), where `d` maps images to logits (B,). It returns
one value for each pair, (B,); a D of K heads has logits (B, K), and the mean of all values counts.
A penalty reads the augmented images, as D does. `uniform` (B, num_draws) holds random numbers from
U[0, 1). The caller draws them, so that they depend on the pair and not on the process. A penalty
with `forbids_batch_norm` needs a D whose logit of an image does not depend on the other images of
the batch.
"""

__all__ = ["Discriminator", "Pairs", "Penalties", "Penalty", "Weighted"]

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from limner.interfaces import DiscriminatorObserver, DiscriminatorStatistics, Schedule, trait

Discriminator = Callable[[Tensor], Tensor]
"""Function from images (B, C, H, W) to logits (B,)."""


class Pairs(NamedTuple):
    """B pairs of a real and a fake image, with the logits of D.

    The images require gradients and the logits were computed from them, so that a gradient
    penalty needs no further pass through D.
    """

    real: Tensor
    """Real images (B, C, H, W) after augmentation."""
    fake: Tensor
    """Fake images (B, C, H, W) after augmentation; no gradient reaches G."""
    real_logits: Tensor
    """Logits (B,) of the real images."""
    fake_logits: Tensor
    """Logits (B,) of the fake images."""


class Penalty(Protocol):
    """Function that returns a value of at least 0 for each pair; a module if it has a state."""

    num_draws: int = 0
    """Number of random numbers for each pair."""
    forbids_batch_norm: bool = False
    """Whether D must judge each image by itself."""

    def __call__(self, d: Discriminator, pairs: Pairs, *, uniform: Tensor) -> Tensor: ...


class Weighted(nn.Module):
    """weight * every * penalty  in every n-th step of D, which is weight * penalty on average.

    This is the lazy regularisation of Karras et al. (2020), section 3.1,
    https://arxiv.org/abs/1912.04958, except that Adam's learning rate and betas are unchanged.

    Args:
        function: The penalty.
        weight: Factor of the penalty, at least 0, or a schedule (see `limner.schedules`).
        every: Interval of the penalty in steps of D, at least 1.
    """

    def __init__(self, *, function: Penalty, weight: float | Schedule, every: int) -> None:
        is_number = isinstance(weight, int | float) and weight >= 0
        if not is_number and not callable(weight):
            raise ValueError(
                f"model.penalty...weight={weight}: must be a number of 0 or more, or a schedule."
            )
        if every < 1:
            raise ValueError(f"model.penalty...every={every}: must be 1 or more (steps of D).")
        super().__init__()
        self.function, self.weight, self.every = function, weight, every

    def factor(self, *, step: int, update: int) -> float | None:
        """Return the factor of the penalty in a step of D; None in a step without the penalty."""
        if step % self.every != 0:
            return None
        weight = self.weight(update) if callable(self.weight) else self.weight
        return weight * self.every


class Penalties(nn.ModuleDict):
    """Weighted penalties by name; `Penalties(None)` is empty."""

    def __init__(self, penalties: Mapping[str, Weighted] | None) -> None:
        super().__init__(penalties)

    @property
    def num_draws(self) -> int:
        """Number of random numbers for each pair, of all penalties together."""
        return sum(trait(each.function, Penalty, "num_draws") for each in self.values())

    def observe(self, statistics: DiscriminatorStatistics, *, step: int, num_images: int) -> None:
        """Pass D's statistics from its step number `step` to the penalties that use them."""
        for each in self.values():
            if isinstance(each.function, DiscriminatorObserver):
                each.function.observe(statistics, step=step, num_images=num_images)

    def factors(self, *, step: int, update: int) -> dict[str, float]:
        """Return the factor of each penalty that is due in a step of D, by name.

        The factors are plain numbers that are computed before the losses, so that the losses can
        be compiled once for all steps.

        Args:
            step: Number of earlier steps of D.
            update: Number of earlier updates.
        """
        factors = {name: each.factor(step=step, update=update) for name, each in self.items()}
        return {name: factor for name, factor in factors.items() if factor is not None}

    def forward(
        self, d: Discriminator, pairs: Pairs, *, uniform: Tensor, factors: Mapping[str, float]
    ) -> dict[str, Tensor]:
        """Return the weighted values (B,) of each penalty that has a factor, by name.

        Args:
            d: The discriminator.
            pairs: The images and logits of the step.
            uniform: Random numbers (B, num_draws) from U[0, 1).
            factors: Factors of the penalties, by name.
        """
        nums = [trait(each.function, Penalty, "num_draws") for each in self.values()]
        draws = uniform.split(nums, dim=1)
        return {
            name: factors[name] * each.function(d, pairs, uniform=own)
            for (name, each), own in zip(self.items(), draws, strict=True)
            if name in factors
        }
