"""Normal noise as large as an image, as a function of a few uniform numbers per image.

A penalty gets few random numbers for each pair, see `limner.losses.penalty`. The noise is a hash
of these numbers, so a resumed run and any number of processes have the same noise.
"""

__all__ = ["NUM_SEEDS", "normal_noise"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from limner.randomness import hashed

NUM_SEEDS = 2
"""Number of uniform numbers per image that `normal_noise` reads."""
FACTOR = 0xD1342543DE82EF95 - (1 << 64)
"""An odd factor, which maps different numbers of 64 bits to different ones, far apart."""


def normal_noise(uniform: Tensor, shape: Sequence[int]) -> Tensor:
    """Return N(0, 1) numbers, float32 (B, *shape).

    Args:
        uniform: Numbers (B, NUM_SEEDS) from U[0, 1).
        shape: Shape of the noise of one image.
    """
    high, low = (uniform.float() * 2**24).long().unbind(1)
    first = ((high << 24) + low) * FACTOR
    places = torch.arange(math.prod(shape), device=uniform.device)
    odd = 2 * hashed(first[:, None] + places) + 1 - 2**24  # exact in float32, and never 2^24
    return (math.sqrt(2) * torch.erfinv(odd.float() / 2**24)).unflatten(1, tuple(shape))
