"""Adaptive discriminator augmentation, Karras et al. (2020), https://arxiv.org/abs/2006.06676.

`ADA` adapts the probability of its transformations. `Transforms` has the same transformations with
a probability that is a number or a schedule.
"""

__all__ = ["ADA", "Transforms"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limner.augmentations.ada_transforms import (
    NUM_DRAWS_COLOUR,
    NUM_DRAWS_GEOMETRY,
    change_colour,
    move,
)
from limner.interfaces import DiscriminatorStatistics, Schedule

END = 10**9  # a step after the end of any schedule


class ADA(nn.Module):
    """Augmentation of the images that D sees. Its probability p rises when D overfits.

    r_t = E[sign(D(x))] over the real images of a few steps (equation 1). If r_t is above the
    target, D overfits and p rises; if r_t is below the target, p falls:

        p <- p + sign(r_t - target) * images / images_per_unit,  within [0, 1]

    p is a buffer: a checkpoint holds it, and no step waits for the device.

    Args:
        image_shape: Shape [C, H, W] of an image, where C is 1 or 3.
        target: Target of r_t, in [-1, 1]; 0.6 in the paper.
        images_per_unit: Number of real images over which p can rise from 0 to 1; 500,000 in the
            paper.
        every: Number of steps of D between two changes of p; 4 in the paper.
    """

    num_draws = NUM_DRAWS_GEOMETRY + NUM_DRAWS_COLOUR

    def __init__(
        self, *, image_shape: Sequence[int], target: float, images_per_unit: float, every: int
    ) -> None:
        _check_channels("ada", image_shape)
        if not -1 <= target <= 1:
            raise ValueError(f"model.augmentation.target={target}: must be in [-1, 1].")
        if images_per_unit <= 0:
            raise ValueError(
                f"model.augmentation.images_per_unit={images_per_unit}: must be above 0."
            )
        if every < 1:
            raise ValueError(f"model.augmentation.every={every}: must be 1 or more (steps of D).")
        super().__init__()
        self.target, self.images_per_unit, self.every = target, images_per_unit, every
        self.register_buffer("p", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(()))  # sum of r since the last change of p

    def forward(self, images: Tensor, *, uniform: Tensor) -> Tensor:
        """Return the changed images (B, C, H, W); `uniform` (B, num_draws) is from U[0, 1)."""
        return _transform(images, uniform=uniform, p=self.p)

    @torch.no_grad()
    def observe(self, statistics: DiscriminatorStatistics, *, step: int, num_images: int) -> None:
        """Adapt p to the statistics of D's step number `step`, from 0, on `num_images` images."""
        self.signs += 2 * statistics.accuracy_real - 1
        if (step + 1) % self.every == 0:
            change = num_images * self.every / self.images_per_unit
            self.p += change * torch.sign(self.signs / self.every - self.target)
            self.p.clamp_(0, 1)
            self.signs.zero_()


class Transforms(nn.Module):
    """The transformations of ADA with a probability that does not adapt.

    The probability is a buffer: a checkpoint holds it, and no step waits for the device.

    Args:
        image_shape: Shape [C, H, W] of an image, where C is 1 or 3.
        p: Probability of each transformation, in [0, 1]; or a schedule of it over the steps of D,
            which are the updates unless `model.num_discriminator_steps` is above 1.
    """

    num_draws = ADA.num_draws

    def __init__(self, *, image_shape: Sequence[int], p: float | Schedule) -> None:
        _check_channels("transforms", image_shape)
        super().__init__()
        self.schedule = p if callable(p) else None
        first, last = (p(0), p(END)) if callable(p) else (p, p)
        if not (0 <= first <= 1 and 0 <= last <= 1):
            shown = first if first == last else f"{first} to {last}"
            raise ValueError(
                f"model.augmentation.p={shown}: must be in [0, 1], a probability, or a schedule "
                "of a probability."
            )
        self.register_buffer("p", torch.tensor(float(first)))

    def forward(self, images: Tensor, *, uniform: Tensor) -> Tensor:
        """Return the changed images (B, C, H, W); `uniform` (B, num_draws) is from U[0, 1)."""
        return _transform(images, uniform=uniform, p=self.p)

    @torch.no_grad()
    def observe(self, statistics: DiscriminatorStatistics, *, step: int, num_images: int) -> None:
        """Set p for the step of D that follows step number `step`, from 0."""
        if self.schedule is not None:
            self.p.fill_(self.schedule(step + 1))


def _transform(images: Tensor, *, uniform: Tensor, p: Tensor) -> Tensor:
    geometry, colour = uniform.split([NUM_DRAWS_GEOMETRY, NUM_DRAWS_COLOUR], dim=1)
    # Autocast would multiply even 3x3 matrices in bfloat16, which moves pixels
    # (test_ada_keeps_positions_exact_when_networks_use_half_precision).
    with torch.autocast(images.device.type, enabled=False):
        images = move(images, uniform=geometry, p=p)
        return change_colour(images, uniform=colour, p=p)


def _check_channels(name: str, image_shape: Sequence[int]) -> None:
    if image_shape[0] not in (1, 3):
        raise ValueError(
            f"model/augmentation={name} changes the colours of images with 1 or 3 channels, not "
            f"{image_shape[0]}; model/augmentation=diffaugment takes any number of channels."
        )
