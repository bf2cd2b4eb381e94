"""Normal noise as large as an image, as a function of a few uniform numbers per image.

A penalty gets few random numbers for each pair, see `limner.losses.penalty`. The noise is a hash
of these numbers, so a resumed run and any number of processes have the same noise. The hash mixes
by SplitMix64, Steele et al. (2014), https://doi.org/10.1145/2660193.2660195
"""

__all__ = ["NUM_SEEDS", "normal_noise"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor

NUM_SEEDS = 2
"""Number of uniform numbers per image that `normal_noise` reads."""


def normal_noise(uniform: Tensor, shape: Sequence[int]) -> Tensor:
    """Return N(0, 1) numbers, float32 (B, *shape).

    Args:
        uniform: Numbers (B, NUM_SEEDS) from U[0, 1).
        shape: Shape of the noise of one image.
    """
    high, low = (uniform.float() * 2**24).long().unbind(1)
    first = ((high << 24) + low) * _signed(0xD1342543DE82EF95)  # far apart, as the factor is odd
    places = torch.arange(math.prod(shape), device=uniform.device)
    odd = 2 * _hash(first[:, None] + places) + 1 - 2**24  # exact in float32, and never 2^24
    return (math.sqrt(2) * torch.erfinv(odd.float() / 2**24)).unflatten(1, tuple(shape))


def _hash(numbers: Tensor) -> Tensor:
    """Return 24 bits of the hash of each int64 number."""
    x = numbers * _signed(0x9E3779B97F4A7C15)
    x = (x ^ _shifted(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shifted(x, 27)) * _signed(0x94D049BB133111EB)
    return _shifted(x, 40)


def _shifted(x: Tensor, places: int) -> Tensor:
    """Shift to the right, filling with zeros from the left."""
    return (x >> places) & ((1 << (64 - places)) - 1)


def _signed(number: int) -> int:
    return number - (1 << 64)
