"""The two conversions between stored and computed pixels; nothing else in limner converts.

uint8 in [0, 255] stands at the edges (files, stores, metrics); float32 in [-1, 1] inside.
"""

__all__ = ["to_float", "to_uint8"]

import torch
from torch import Tensor


def to_float(images: Tensor, *, layout: torch.memory_format = torch.preserve_format) -> Tensor:
    """uint8 in [0, 255] to float32 in [-1, 1], laid out in memory so: x / 127.5 - 1."""
    return images.to(torch.float32, memory_format=layout).div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Float in [-1, 1] (clamped) to the nearest uint8 in [0, 255]."""
    return images.float().add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
