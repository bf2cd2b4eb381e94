"""Gaussian blur."""

__all__ = ["GaussianBlur", "blur"]

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from limner.augmentations.degradations.amount import Amount
from limner.augmentations.degradations.protocols import Degraded, Draws


class GaussianBlur:
    """Convolution with a Gaussian; beyond its border, an image is its own mirror image.

    Args:
        sigma: Standard deviation in pixels (0: no blur), or an interval [min, max] from which
            each image draws its own.
    """

    factor, adds_mask = 1, False

    def __init__(self, *, sigma: float | Sequence[float]) -> None:
        self.sigma = Amount(sigma, key="blur.sigma", most=100)

    def __call__(self, images: Tensor, *, draws: Draws) -> Degraded:
        """Return blurred images (B, C, H, W)."""
        sigma = self.sigma.draw(images, draws)
        return Degraded(blur(images, sigma=sigma, largest=self.sigma.max), None)

    def protocol(self) -> dict[str, Any]:
        """Return the strength."""
        return {"kind": "gaussian blur", "sigma": self.sigma.value}


def blur(images: Tensor, *, sigma: Tensor, largest: float) -> Tensor:
    """Blur each image by a Gaussian of its own width, along one axis after the other.

    Args:
        images: Images (B, C, H, W), float.
        sigma: Standard deviations in pixels, (B, 1, 1, 1); 0 keeps an image.
        largest: Upper bound of `sigma`; the Gaussian is cut at 4 times this bound, where it is
            below 0.0004 of its peak.
    """
    radius = max(1, round(4 * largest))
    taps = torch.arange(-radius, radius + 1, device=images.device)
    logits = -0.5 * (taps / sigma.flatten()[:, None].clamp(min=1e-3)) ** 2  # 1e-3 gives [k = 0]
    weights = torch.softmax(logits.float(), dim=1).to(images.dtype)
    for dim in (2, 3):
        images = _weighted_lines(images, weights, dim=dim, radius=radius)
    return images


def _weighted_lines(images: Tensor, weights: Tensor, *, dim: int, radius: int) -> Tensor:
    """Return sum_k weights[:, k] * images shifted by k - radius pixels along a dimension."""
    size = images.shape[dim]
    lines = torch.arange(-radius, size + radius, device=images.device) % (2 * size)
    padded = images.index_select(dim, torch.minimum(lines, 2 * size - 1 - lines))
    result = torch.zeros_like(images)
    for k, weight in enumerate(weights.unbind(1)):
        result.addcmul_(padded.narrow(dim, k, size), weight[:, None, None, None])
    return result
