"""What is added to D's loss to keep it tame: what a penalty sees, and how much and when it counts.

A penalty is called with (d, pairs, uniform=...), where `d` takes images to logits (B,), and
returns one value for each pair, (B,). It sees the images as D does, so after augmentation.
`uniform` (B, num_draws) are the random numbers from U[0, 1) that it needs: whoever calls it draws
them, so that they belong to the pair and not to the process. One that `forbids_batch_norm` asks
what D makes of an image by itself.
"""

__all__ = ["Discriminator", "Pairs", "Penalties", "Penalty", "Weighted"]

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from limner.interfaces import DiscriminatorObserver, DiscriminatorStatistics, Schedule, trait

Discriminator = Callable[[Tensor], Tensor]
"""Images (B, C, H, W) to logits (B,)."""


class Pairs(NamedTuple):
    """B pairs of images and what D makes of them.

    The images require gradients and the logits were computed from them, so that a gradient
    penalty needs no further pass through D.
    """

    real: Tensor
    """(B, C, H, W), as D sees them."""
    fake: Tensor
    """(B, C, H, W), likewise; no gradient reaches G."""
    real_logits: Tensor
    """(B,)."""
    fake_logits: Tensor
    """(B,)."""


class Penalty(Protocol):
    """One value for each pair, at least 0; a module where it has a state."""

    num_draws: int = 0
    """Random numbers that it needs for each pair."""
    forbids_batch_norm: bool = False
    """Whether it asks what D makes of an image by itself, which batch norm does not say."""

    def __call__(self, d: Discriminator, pairs: Pairs, *, uniform: Tensor) -> Tensor: ...


class Weighted(nn.Module):
    """weight * every * penalty  at every n-th step of D, which on average is weight * penalty.

    Lazy regularisation, Karras et al. (2020), section 3.1, https://arxiv.org/abs/1912.04958, but
    Adam's learning rate and betas stay as they are.

    Args:
        function: The penalty that is weighted.
        weight: The penalty's factor, at least 0; or a schedule, see `limner.schedules`.
        every: Steps of D from one to the next at which it counts, at least 1.
    """

    def __init__(self, *, function: Penalty, weight: float | Schedule, every: int) -> None:
        is_number = isinstance(weight, int | float) and weight >= 0
        if not is_number and not callable(weight):
            raise ValueError(
                f"model.penalty...weight={weight}: a number, 0 or more; or a schedule."
            )
        if every < 1:
            raise ValueError(f"model.penalty...every={every}: steps of D, 1 or more.")
        super().__init__()
        self.function, self.weight, self.every = function, weight, every

    def forward(self, d: Discriminator, pairs: Pairs, *, uniform: Tensor, update: int) -> Tensor:
        """Values (B,) of a step at which it counts, in the given update."""
        weight = self.weight(update) if callable(self.weight) else self.weight
        return weight * self.every * self.function(d, pairs, uniform=uniform)


class Penalties(nn.ModuleDict):
    """Any number of penalties by name, each with its weight; None for none."""

    def __init__(self, penalties: Mapping[str, Weighted] | None) -> None:
        super().__init__(penalties)

    @property
    def num_draws(self) -> int:
        return sum(trait(each.function, Penalty, "num_draws") for each in self.values())

    def observe(self, statistics: DiscriminatorStatistics, *, step: int, num_images: int) -> None:
        """Show D's statistics in its step number `step` to the penalties that follow them."""
        for each in self.values():
            if isinstance(each.function, DiscriminatorObserver):
                each.function.observe(statistics, step=step, num_images=num_images)

    def forward(
        self, d: Discriminator, pairs: Pairs, *, uniform: Tensor, step: int, update: int
    ) -> dict[str, Tensor]:
        """Values (B,) of those that count at D's step number `step`, by name.

        Args:
            d: The discriminator.
            pairs: What it was shown.
            uniform: Numbers from U[0, 1), (B, num_draws).
            step: D's steps before this one.
            update: Updates before this one.
        """
        nums = [trait(each.function, Penalty, "num_draws") for each in self.values()]
        draws = uniform.split(nums, dim=1)
        return {
            name: each(d, pairs, uniform=own, update=update)
            for (name, each), own in zip(self.items(), draws, strict=True)
            if step % each.every == 0
        }
