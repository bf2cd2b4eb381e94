"""Paths of things that move in a straight line and bounce off the borders.

As in moving MNIST: Srivastava et al. (2015), https://arxiv.org/abs/1502.04681
"""

__all__ = ["NUM_COLUMNS", "bouncing", "path_draws"]

import torch
from torch import Tensor

from limner.randomness import hashed

NUM_COLUMNS = 8
"""Number of random numbers of each thing."""
MOST = 16
"""Largest number of things in a sequence."""


def path_draws(numbers: Tensor, num_things: int, *, seed: int) -> Tensor:
    """Return numbers from U[0, 1) of each thing of each sequence, float32 (B, K, NUM_COLUMNS).

    Args:
        numbers: int64 (B,): numbers of the sequences, from 0 to 2^42.
        num_things: Number K of things of a sequence, at most `MOST`.
        seed: Seed of 63 bits.
    """
    columns = torch.arange(num_things * NUM_COLUMNS, device=numbers.device)
    drawn = hashed((numbers * (MOST * NUM_COLUMNS))[:, None] + columns + seed).float() / 2**24
    return drawn.unflatten(1, (num_things, NUM_COLUMNS))


def bouncing(start: Tensor, angle: Tensor, step: Tensor | float, *, num_frames: int) -> Tensor:
    """Return positions in the unit square, (B, K, T, 2), x from the left and y from above.

    The positions have the type of `start`. Rounded positions of float64 are practically the same
    on every device.

    A thing moves before each frame. When it would leave the square, it is put on the border, and
    the part of its velocity across the border changes its sign.

    Args:
        start: Positions (B, K, 2) in [0, 1) before the first frame.
        angle: Directions (B, K) in radians.
        step: Length (B, K) of the way between two frames, or one number.
        num_frames: Number T of frames.
    """
    velocity = torch.stack([torch.cos(angle), torch.sin(angle)], 2)
    velocity = velocity * (step[..., None] if isinstance(step, Tensor) else step)
    place, found = start, []
    for _ in range(num_frames):
        place = place + velocity
        outside = (place <= 0) | (place >= 1)
        place, velocity = place.clamp(0, 1), torch.where(outside, -velocity, velocity)
        found.append(place)
    return torch.stack(found, 2)
