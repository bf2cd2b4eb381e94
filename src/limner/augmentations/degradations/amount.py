"""Strengths of degradations: a number, or a range from which each image draws its number."""

__all__ = ["Amount"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from limner.augmentations.degradations.protocols import Draws


class Amount:
    """A number, or an interval [min, max] with a uniform draw for each image.

    Args:
        value: The number, or the interval.
        key: Key of the value, for messages.
        least: Smallest valid number.
        most: Largest valid number.
        whole: Whether draws are whole numbers, each of min ... max with the same probability.
    """

    def __init__(
        self,
        value: float | Sequence[float],
        *,
        key: str,
        least: float = 0.0,
        most: float = math.inf,
        whole: bool = False,
    ) -> None:
        interval = [value] if isinstance(value, int | float) else list(value)
        is_valid = len(interval) in (1, 2) and all(
            least <= number <= most and (not whole or number == int(number)) for number in interval
        )
        if is_valid and interval != sorted(interval):
            raise ValueError(
                f"data.degradation.parts.{key}={value}: a range is [min,max], the smaller number "
                f"first: [{interval[1]},{interval[0]}]."
            )
        if not is_valid:
            kind = "a whole number" if whole else "a number"
            limits = f"{least:g} or more" if most == math.inf else f"in [{least:g}, {most:g}]"
            raise ValueError(
                f"data.degradation.parts.{key}={value}: must be {kind} {limits}, or a range "
                "[min,max]."
            )
        self.min, self.max, self.whole = interval[0], interval[-1], whole
        self.value = value if isinstance(value, int | float) else interval

    def draw(self, images: Tensor, draws: Draws) -> Tensor:
        """Return a number for each image (B, C, H, W), float32 (B, 1, 1, 1) on their device.

        A single number takes no random numbers.
        """
        if self.min == self.max:
            return torch.full((len(images), 1, 1, 1), float(self.max), device=images.device)
        uniform = draws.uniform(images, 1).float()[..., None, None]
        if self.whole:
            num = self.max - self.min + 1  # a number of half precision may be rounded up to 1
            return self.min + (uniform * num).floor().clamp(max=num - 1)
        return self.min + (self.max - self.min) * uniform
