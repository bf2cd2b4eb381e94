"""Images as numpy arrays (N, H, W, C), and as tensors (N, C, H, W) of a model."""

__all__ = ["to_numpy", "to_tensor"]

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from limner.errors import UserError
from limner.pixels import to_float, to_uint8


def to_numpy(images: Tensor) -> np.ndarray:
    """Return uint8 images (N, H, W, C) of float images (N, C, H, W) in [-1, 1]."""
    return np.ascontiguousarray(to_uint8(images).permute(0, 2, 3, 1).numpy())


def to_tensor(images: np.ndarray, image_shape: Sequence[int]) -> Tensor:
    """Return float images (N, C, H, W) in [-1, 1] of uint8 images (N, H, W, C).

    Args:
        images: The images.
        image_shape: (C, H, W) that the images must have.

    Raises:
        UserError: If the array has another shape or type, or no images.
    """
    channels, height, width = image_shape
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.shape[1:] != (height, width, channels):
        raise UserError(
            f"Images for this model are uint8 (N, {height}, {width}, {channels}), not "
            f"{images.dtype} {images.shape}."
        )
    if len(images) == 0:
        raise UserError("There are no images in this array.")
    return to_float(torch.tensor(images).permute(0, 3, 1, 2))
