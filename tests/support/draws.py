"""Random numbers for tests: each image has its own, whatever batch it is in."""

__all__ = ["OwnDraws", "pictures"]

import torch
from torch import Tensor


class OwnDraws:
    """Draws of images 0, 1, 2 ... or of the given images of a larger batch.

    Args:
        seed: Seed of all numbers.
        rows: Positions of the images in the larger batch; None for 0, 1, 2 ...
    """

    def __init__(self, seed: int = 0, *, rows: range | None = None) -> None:
        self.seed, self.rows, self.generators = seed, rows, {}

    def normal(self, images: Tensor, *shape: int) -> Tensor:
        return torch.stack([torch.randn(shape, generator=g) for g in self._each(images)])

    def uniform(self, images: Tensor, *shape: int) -> Tensor:
        return torch.stack([torch.rand(shape, generator=g) for g in self._each(images)])

    def _each(self, images: Tensor) -> list[torch.Generator]:
        rows = range(len(images)) if self.rows is None else self.rows
        assert len(rows) == len(images)
        for row in rows:
            if row not in self.generators:
                generator = torch.Generator().manual_seed(1000 * self.seed + row)
                self.generators[row] = generator
        return [self.generators[row] for row in rows]


def pictures(num: int = 4, *, channels: int = 3, height: int = 37, width: int = 50) -> Tensor:
    """Return smooth pictures (num, channels, height, width) in [-1, 1] with edges."""
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(num, channels, 5, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    smooth[..., height // 3 : height // 2, width // 4 : width // 2] *= 0.3
    return (smooth * 2 - 1).clamp(-1, 1)
