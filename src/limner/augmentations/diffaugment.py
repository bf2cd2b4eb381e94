"""DiffAugment, Zhao et al. (2020), section 4, https://arxiv.org/abs/2006.10738.

Its parts change the real and fake images that D sees, in the steps of both players; the gradient
of G passes through them. Images are float (B, C, H, W) in [-1, 1] with any C; changed images may
leave that range. `uniform` (B, num_draws) holds random numbers from U[0, 1).
"""

__all__ = ["Colour", "Cutout", "Translation", "hole"]

import torch
from torch import Tensor


class Colour:
    """Random brightness, saturation and contrast, each drawn uniformly around no change.

    x <- x + b;   x <- m + s (x - m), m: the pixel's mean;  x <- m + c (x - m), m: the image's mean

    Args:
        brightness: Largest |b|, at least 0; 0.5 in the paper.
        saturation: Largest |s - 1|, at least 0; 1 in the paper.
        contrast: Largest |c - 1|, at least 0; 0.5 in the paper.
    """

    num_draws = 3

    def __init__(self, *, brightness: float, saturation: float, contrast: float) -> None:
        for name, value in (
            ("brightness", brightness), ("saturation", saturation), ("contrast", contrast),
        ):  # fmt: skip
            if value < 0:
                raise ValueError(f"{name}={value} of an augmentation: must be 0 or more.")
        self.brightness, self.saturation, self.contrast = brightness, saturation, contrast

    def __call__(self, images: Tensor, *, uniform: Tensor) -> Tensor:
        """Return the changed images (B, C, H, W); `uniform` is (B, num_draws)."""
        signed = (2 * uniform - 1).to(images)[..., None, None, None]
        brightness, saturation, contrast = signed.unbind(1)
        images = images + self.brightness * brightness
        mean = images.mean(1, keepdim=True)
        images = mean + (1 + self.saturation * saturation) * (images - mean)
        mean = images.mean((1, 2, 3), keepdim=True)
        return mean + (1 + self.contrast * contrast) * (images - mean)


class Translation:
    """Random shift of an image by whole pixels; the border is filled with zeros.

    Args:
        max_fraction: Largest shift as a share of height and width, in [0, 1]; 1/8 in the paper.
    """

    num_draws = 2

    def __init__(self, *, max_fraction: float) -> None:
        if not 0 <= max_fraction <= 1:
            raise ValueError(f"max_fraction={max_fraction} of a translation: must be in [0, 1].")
        self.max_fraction = max_fraction

    def __call__(self, images: Tensor, *, uniform: Tensor) -> Tensor:
        """Return the changed images (B, C, H, W); `uniform` is (B, num_draws)."""
        for dim, draws in zip((2, 3), uniform.unbind(1), strict=True):
            size = images.shape[dim]
            most = round(self.max_fraction * size)
            shift = _integers(draws, 2 * most + 1) - most
            source = torch.arange(size, device=images.device) - shift[:, None]
            lines = (-1, 1, size, 1) if dim == 2 else (-1, 1, 1, size)
            index = source.clamp(0, size - 1).view(lines).expand_as(images)
            outside = (source != source.clamp(0, size - 1)).view(lines)
            images = images.gather(dim, index).masked_fill(outside, 0)
        return images


class Cutout:
    """Cutout: a rectangle of zeros, centred at a random pixel.

    Args:
        fraction: Sides of the rectangle as a share of height and width, in [0, 1]; 1/2 in the
            paper.
    """

    num_draws = 2

    def __init__(self, *, fraction: float) -> None:
        if not 0 <= fraction <= 1:
            raise ValueError(f"fraction={fraction} of a cutout: must be in [0, 1].")
        self.fraction = fraction

    def __call__(self, images: Tensor, *, uniform: Tensor) -> Tensor:
        """Return the changed images (B, C, H, W); `uniform` is (B, num_draws)."""
        cut = hole(*images.shape[2:], *uniform.unbind(1), fraction=self.fraction)
        return images.masked_fill(cut[:, None], 0)


def hole(
    height: int, width: int, vertical: Tensor, horizontal: Tensor, *, fraction: float
) -> Tensor:
    """Return which pixels lie in a rectangle that is centred at a random pixel, (B, H, W).

    Args:
        height: Number of rows H.
        width: Number of columns W.
        vertical: Random numbers (B,) from U[0, 1) for the row of the centre.
        horizontal: Random numbers (B,) from U[0, 1) for the column of the centre.
        fraction: Sides of the rectangle as a share of height and width.
    """
    rows = _lines(height, vertical, fraction)
    return rows[:, :, None] & _lines(width, horizontal, fraction)[:, None]


def _lines(size: int, draws: Tensor, fraction: float) -> Tensor:
    """Return whether each of `size` lines is in the rectangle, (B, size)."""
    length = round(fraction * size)
    first = _integers(draws, size)[:, None] - length // 2
    lines = torch.arange(size, device=draws.device)
    return (first <= lines) & (lines < first + length)


def _integers(uniform: Tensor, num: int) -> Tensor:
    """Map U[0, 1) to the integers 0 .. num - 1, each with the same probability."""
    return (uniform * num).long().clamp(max=num - 1)  # 0.99999994 * num may be rounded up
