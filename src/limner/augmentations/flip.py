"""Horizontal flips of images."""

__all__ = ["HorizontalFlip"]

from collections.abc import Sequence

import torch
from torch import Tensor


class HorizontalFlip:
    """Horizontal flip of each image with a probability.

    Args:
        probability: Probability of a flip, in [0, 1].
    """

    num_draws = 1

    def __init__(self, *, probability: float) -> None:
        self.probability = probability

    def __call__(self, images: Tensor, *, uniform: Tensor) -> Tensor:
        """Return images (B, C, H, W) of any type, mirrored where `uniform` (B, 1) is small."""
        mirrored = uniform < self.probability
        return torch.where(mirrored[..., None, None], images.flip(-1), images)

    def apply_all(
        self, pictures: Sequence[Tensor], *, uniform: Tensor, colours: Sequence[bool]
    ) -> list[Tensor]:
        """Return the pictures of each sample, of any sizes, mirrored by the same draw.

        Args:
            pictures: Pictures (B, C, H, W), one tensor for each picture of a sample.
            uniform: Random numbers (B, 1) from U[0, 1).
            colours: Not used, since a flip keeps the values of pixels.
        """
        return [self(each, uniform=uniform) for each in pictures]
