"""Several augmentations, one after the other."""

__all__ = ["Augmentation", "Chain"]

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor


class Augmentation(Protocol):
    """Changes each image by random numbers that it is given.

    A pure function, differentiable where the images are: images (B, C, H, W) and `uniform`
    (B, num_draws), numbers from U[0, 1), to images of the same shape.
    """

    num_draws: int

    def __call__(self, images: Tensor, *, uniform: Tensor) -> Tensor: ...


class Chain:
    """The parts in their order, each with random numbers of its own.

    Args:
        parts: By names of one's choice, so that one can be changed or left out by its key.
    """

    def __init__(self, *, parts: Mapping[str, Augmentation]) -> None:
        self.parts = list(parts.values())
        self.num_draws = sum(part.num_draws for part in self.parts)

    def __call__(self, images: Tensor, *, uniform: Tensor) -> Tensor:
        """Images (B, C, H, W), by numbers `uniform` (B, num_draws) from U[0, 1)."""
        draws = uniform.split([part.num_draws for part in self.parts], dim=1)
        for part, own in zip(self.parts, draws, strict=True):
            images = part(images, uniform=own)
        return images
