"""Batches in, batches out; each image with its own draw."""

from limner.augmentations.flip import HorizontalFlip

__all__ = ["HorizontalFlip"]
