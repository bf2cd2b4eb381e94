"""Gaussian noise."""

__all__ = ["GaussianNoise"]

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from limner.augmentations.degradations.amount import Amount
from limner.augmentations.degradations.protocols import Degraded, Draws


class GaussianNoise:
    """White Gaussian noise, which is not clipped: inputs may leave [-1, 1].

    Clipped or rounded noise is not Gaussian, and scores on it cannot be compared with papers.

    Args:
        sigma: Standard deviation in levels of 0 ... 255, or an interval [min, max] from which
            each image draws its own.
    """

    factor, adds_mask = 1, False

    def __init__(self, *, sigma: float | Sequence[float]) -> None:
        self.sigma = Amount(sigma, key="noise.sigma")

    def __call__(self, images: Tensor, *, draws: Draws) -> Degraded:
        """Return images (B, C, H, W) plus noise."""
        sigma = (self.sigma.draw(images, draws) / 127.5).to(images.dtype)
        return Degraded(images + sigma * draws.normal(images, *images.shape[1:]), None)

    def protocol(self) -> dict[str, Any]:
        """Return the strength and that values are not clipped."""
        return {"kind": "gaussian noise", "sigma": self.sigma.value, "clipped": False}
