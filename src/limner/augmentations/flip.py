"""Mirrors images at their vertical axis."""

__all__ = ["HorizontalFlip"]

import torch
from torch import Generator, Tensor


class HorizontalFlip:
    """Mirrors each image with a probability.

    Args:
        probability: In [0, 1].
    """

    def __init__(self, *, probability: float) -> None:
        self.probability = probability

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Images (B, C, H, W) of any type; the draws come from a CPU `generator`."""
        draws = torch.rand(len(images), generator=generator) < self.probability
        return torch.where(draws.to(images.device)[:, None, None, None], images.flip(-1), images)
