"""Horizontal flips of images."""

__all__ = ["HorizontalFlip"]

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
