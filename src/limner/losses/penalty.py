"""Penalties that are added to the players' losses, their weights and their intervals.

A penalty of D is called with (d, pairs, uniform=...), where `d` maps images to logits (B,). It
returns one value for each pair, (B,); a D of K heads has logits (B, K), and the mean of all values
counts.
A penalty reads the augmented images, as D does. `uniform` (B, num_draws) holds random numbers from
U[0, 1). The caller draws them, so that they depend on the pair and not on the process. A penalty
with `forbids_batch_norm` needs a D whose logit of an image does not depend on the other images of
the batch. `limner.models.generator_penalties` calls the penalties of G.
"""

__all__ = ["Discriminator", "Pairs", "Penalties", "Penalty", "Weighted"]

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, Protocol

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
    of_generator: bool = False
    """Whether the penalty is added to G's loss, see `limner.losses.path_length`."""
    auto_weight: float | None = None
    """Weight of `weight=auto` for images of one pixel and steps of one image; None for none."""

    def __call__(self, d: Discriminator, pairs: Pairs, *, uniform: Tensor) -> Tensor: ...


class Weighted(nn.Module):
    """weight * every * penalty  in every n-th step, which is weight * penalty on average.

    This is the lazy regularisation of Karras et al. (2020), section 3.1,
    https://arxiv.org/abs/1912.04958, except that Adam's learning rate and betas are unchanged.

    Args:
        function: The penalty.
        weight: Factor of the penalty, at least 0, or a schedule (see `limner.schedules`). "auto"
            chooses gamma = 2e-4 H W / (images of a step) for R1 and R2, see `fit_to`.
        every: Interval of the penalty in steps of its player, at least 1.
    """

    def __init__(
        self, *, function: Penalty, weight: float | Schedule | Literal["auto"], every: int
    ) -> None:
        is_number = isinstance(weight, int | float) and weight >= 0
        if not is_number and not callable(weight) and weight != "auto":
            raise ValueError(
                f"model.penalty...weight={weight}: must be a number of 0 or more, auto, or a "
                "schedule."
            )
        if weight == "auto" and trait(function, Penalty, "auto_weight") is None:
            raise ValueError(
                f"model.penalty...weight=auto: only R1 and R2 have this formula, and "
                f"{type(function).__name__} has not; set a number."
            )
        if every < 1:
            raise ValueError(f"model.penalty...every={every}: must be 1 or more (steps).")
        super().__init__()
        self.function, self.weight, self.every = function, weight, every

    def fit_to(self, *, num_pixels: int, num_images: int) -> None:
        """Replace the weight "auto" by  auto_weight * num_pixels / num_images.

        Karras et al. (2020), appendix C, https://arxiv.org/abs/2006.06676.

        Args:
            num_pixels: Number of pixels H * W of an image.
            num_images: Number of real images in a step of D, of all processes together.
        """
        if self.weight == "auto":
            scale = trait(self.function, Penalty, "auto_weight")
            self.weight = scale * num_pixels / num_images
            self.about = f"{type(self.function).__name__} of weight {self.weight:.3g} (auto)"

    def factor(self, *, step: int, update: int) -> float | None:
        """Return the factor of the penalty in a step; None in a step without the penalty."""
        if step % self.every != 0:
            return None
        if self.weight == "auto":
            raise ValueError("model.penalty...weight=auto: call `fit_to` before training.")
        weight = self.weight(update) if callable(self.weight) else self.weight
        return weight * self.every


class Penalties(nn.ModuleDict):
    """Weighted penalties by name; `Penalties(None)` is empty."""

    def __init__(self, penalties: Mapping[str, Weighted] | None) -> None:
        super().__init__(penalties)

    @property
    def of_discriminator(self) -> dict[str, Weighted]:
        """Penalties of D by name."""
        return {n: p for n, p in self.items() if not trait(p.function, Penalty, "of_generator")}

    @property
    def num_draws(self) -> int:
        """Number of random numbers for each pair, of all penalties of D together."""
        functions = [each.function for each in self.of_discriminator.values()]
        return sum(trait(function, Penalty, "num_draws") for function in functions)

    def observe(self, statistics: DiscriminatorStatistics, *, step: int, num_images: int) -> None:
        """Pass D's statistics from its step number `step` to the penalties that use them."""
        for each in self.of_discriminator.values():
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
        own = self.of_discriminator.items()
        factors = {name: each.factor(step=step, update=update) for name, each in own}
        return {name: factor for name, factor in factors.items() if factor is not None}

    def generator_factors(self, update: int) -> dict[str, float]:
        """Return the factor of each penalty that is due in G's step of an update, by name."""
        own = [(name, each) for name, each in self.items() if name not in self.of_discriminator]
        factors = {name: each.factor(step=update, update=update) for name, each in own}
        return {name: factor for name, factor in factors.items() if factor is not None}

    def forward(
        self, d: Discriminator, pairs: Pairs, *, uniform: Tensor, factors: Mapping[str, float]
    ) -> dict[str, Tensor]:
        """Return the weighted values (B,) of each penalty of D that has a factor, by name.

        Args:
            d: The discriminator.
            pairs: The images and logits of the step.
            uniform: Random numbers (B, num_draws) from U[0, 1).
            factors: Factors of the penalties, by name.
        """
        own = self.of_discriminator
        nums = [trait(each.function, Penalty, "num_draws") for each in own.values()]
        draws = uniform.split(nums, dim=1)
        return {
            name: factors[name] * each.function(d, pairs, uniform=numbers)
            for (name, each), numbers in zip(own.items(), draws, strict=True)
            if name in factors
        }
