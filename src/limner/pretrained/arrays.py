"""Images as numpy arrays (N, H, W, C), and as tensors (N, C, H, W) of a model.

Sequences of frames are arrays (N, T, H, W, C), and tensors (N, T, C, H, W).
"""

__all__ = ["to_numpy", "to_tensor"]

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from limner.errors import UserError
from limner.pixels import to_float, to_uint8


def to_numpy(images: Tensor) -> np.ndarray:
    """Return uint8 images or frames (..., H, W, C) of float ones (..., C, H, W) in [-1, 1]."""
    return np.ascontiguousarray(to_uint8(images).movedim(-3, -1).numpy())


def to_tensor(
    images: np.ndarray, image_shape: Sequence[int], *, are_frames: bool = False
) -> Tensor:
    """Return float images (N, C, H, W) in [-1, 1] of uint8 images (N, H, W, C).

    Args:
        images: The images; or sequences of frames (N, T, H, W, C).
        image_shape: (C, H, W) that the images must have.
        are_frames: Whether they must be sequences; the result is then (N, T, C, H, W).

    Raises:
        UserError: If the array has another shape or type, or no images.
    """
    channels, height, width = image_shape
    images = np.asarray(images)
    shape, ndim = images.shape[1 + are_frames :], 4 + are_frames
    if images.dtype != np.uint8 or images.ndim != ndim or shape != (height, width, channels):
        what, time = ("Frames", " T,") if are_frames else ("Images", "")
        raise UserError(
            f"{what} for this model are uint8 (N,{time} {height}, {width}, {channels}), not "
            f"{images.dtype} {images.shape}."
        )
    if images.size == 0:
        raise UserError("There are no images in this array.")
    return to_float(torch.tensor(images).movedim(-1, -3).contiguous())
