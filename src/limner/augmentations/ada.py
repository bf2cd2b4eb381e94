"""Adaptive discriminator augmentation, Karras et al. (2020), https://arxiv.org/abs/2006.06676."""

__all__ = ["ADA"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limner.augmentations.ada_transforms import (
    NUM_DRAWS_COLOUR,
    NUM_DRAWS_GEOMETRY,
    change_colour,
    move,
)
from limner.interfaces import DiscriminatorStatistics


class ADA(nn.Module):
    """Changes what D sees, each transformation with a probability p that follows D's overfitting.

    r_t = E[sign(D(x))] over the real images of a few steps (equation 1). If it is above the
    target, D knows the images too well and p rises; if below, p falls:

        p <- p + sign(r_t - target) * images / images_per_unit,  within [0, 1]

    p is a buffer: a checkpoint holds it, and nothing here waits for the device.

    Args:
        image_shape: [C, H, W], C 1 or 3: there are colours to change.
        target: Of r_t, in [-1, 1]; 0.6 in the paper.
        images_per_unit: Real images over which p can rise from 0 to 1; 500,000 in the paper.
        every: Steps of D from one change of p to the next; 4 in the paper.
    """

    num_draws = NUM_DRAWS_GEOMETRY + NUM_DRAWS_COLOUR

    def __init__(
        self, *, image_shape: Sequence[int], target: float, images_per_unit: float, every: int
    ) -> None:
        if image_shape[0] not in (1, 3):
            raise ValueError(
                f"model/augmentation=ada changes the colours of images with 1 or 3 channels, not "
                f"{image_shape[0]}; model/augmentation=diffaugment takes any."
            )
        if not -1 <= target <= 1:
            raise ValueError(f"model.augmentation.target={target}: must be in [-1, 1].")
        if images_per_unit <= 0:
            raise ValueError(f"model.augmentation.images_per_unit={images_per_unit}: above 0.")
        if every < 1:
            raise ValueError(f"model.augmentation.every={every}: steps of D, 1 or more.")
        super().__init__()
        self.target, self.images_per_unit, self.every = target, images_per_unit, every
        self.register_buffer("p", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(()))  # sum of r since p was changed

    def forward(self, images: Tensor, *, uniform: Tensor) -> Tensor:
        """Images (B, C, H, W) of images in [-1, 1], by numbers (B, num_draws) from U[0, 1)."""
        geometry, colour = uniform.split([NUM_DRAWS_GEOMETRY, NUM_DRAWS_COLOUR], dim=1)
        with torch.autocast(images.device.type, enabled=False):  # positions need all their digits
            images = move(images, uniform=geometry, p=self.p)
            return change_colour(images, uniform=colour, p=self.p)

    @torch.no_grad()
    def observe(self, statistics: DiscriminatorStatistics, *, step: int, num_images: int) -> None:
        """Follows what D made of `num_images` real images in its step number `step`, from 0."""
        self.signs += 2 * statistics.accuracy_real - 1
        if (step + 1) % self.every == 0:
            change = num_images * self.every / self.images_per_unit
            self.p += change * torch.sign(self.signs / self.every - self.target)
            self.p.clamp_(0, 1)
            self.signs.zero_()
