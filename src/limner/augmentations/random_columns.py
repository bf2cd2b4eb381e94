"""Random numbers of each image, read one after the other and given a distribution."""

__all__ = ["RandomColumns"]

import math
from collections.abc import Iterator

import torch
from torch import Tensor


class RandomColumns:
    """Reader of random numbers, column by column; each result has one number per image, (B,).

    Args:
        uniform: Random numbers (B, num_draws) from U[0, 1).
    """

    def __init__(self, uniform: Tensor) -> None:
        self._columns: Iterator[Tensor] = iter(uniform.float().unbind(1))

    def uniform(self) -> Tensor:
        """Return numbers from U[0, 1)."""
        return next(self._columns)

    def maybe(self, p: Tensor | float, value: Tensor, neutral: float) -> Tensor:
        """Return `value` with probability p, else the neutral value."""
        return torch.where(next(self._columns) < p, value, neutral)

    def maybe_both(
        self, p: Tensor | float, first: Tensor, second: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return both values with probability p, else two zeros."""
        applied = next(self._columns) < p
        return torch.where(applied, first, 0.0), torch.where(applied, second, 0.0)

    def signed(self) -> Tensor:
        """Return numbers from U[-1, 1)."""
        return 2 * next(self._columns) - 1

    def angle(self) -> Tensor:
        """Return angles from U[-pi, pi)."""
        return math.pi * self.signed()

    def integer(self, num: int) -> Tensor:
        """Return whole numbers 0 .. num - 1, as floats."""
        return (next(self._columns) * num).floor().clamp(max=num - 1)

    def normal(self) -> Tensor:
        """Return numbers from N(0, 1), clipped near 5 standard deviations."""
        return math.sqrt(2) * torch.erfinv(self.signed().clamp(-1 + 1e-6, 1 - 1e-6))
