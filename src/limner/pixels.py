"""The two conversions between stored and computed pixels; no other module of limner converts.

Files, stores and metrics use uint8 in [0, 255]; models use float32 in [-1, 1].
"""

__all__ = ["to_float", "to_uint8"]

import torch
from torch import Tensor


def to_float(images: Tensor, *, layout: torch.memory_format = torch.preserve_format) -> Tensor:
    """Convert uint8 images in [0, 255] to float32 in [-1, 1]: x / 127.5 - 1.

    Args:
        images: uint8 images of any shape.
        layout: Memory format of the result.
    """
    return images.to(torch.float32, memory_format=layout).div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Convert float images in [-1, 1] to the nearest uint8 in [0, 255]; clamp other values."""
    return images.float().add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
