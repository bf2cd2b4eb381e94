"""Batches in, batches out; each image with its own draw.

An augmentation is a pure function of images (B, C, H, W) and of `uniform` (B, num_draws), numbers
from U[0, 1] that whoever calls it draws, so that they belong to the image and not to the process.
"""

from limner.augmentations.flip import HorizontalFlip

__all__ = ["HorizontalFlip"]
