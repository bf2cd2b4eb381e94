"""Augmentations: pure functions that change each image of a batch by its own random numbers.

An augmentation is called with images (B, C, H, W) and `uniform` (B, num_draws), random numbers
from U[0, 1). The caller draws them, so that they depend on the image and not on the process.
"""

from limner.augmentations.flip import HorizontalFlip

__all__ = ["HorizontalFlip"]
