"""JPEG compression in torch, on whole batches and on any device.

Wallace (1992), https://doi.org/10.1109/30.125072, with the choices of the usual encoder libjpeg:
the tables of annex K of the standard scaled by the quality, YCbCr of JFIF, colours at half the
resolution (4:2:0), and colours enlarged by a triangle filter. The lossless part is left out.
"""

__all__ = ["JPEG"]

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from limner.augmentations.degradations.amount import Amount
from limner.augmentations.degradations.protocols import Degraded, Draws

LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99), (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)  # fmt: skip
"""Steps of the coefficients at quality 50; the row is the vertical frequency."""
TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))
"""Matrices between RGB in [0, 255] and (Y, Cb, Cr), with Cb and Cr around 0."""


class JPEG:
    """A picture that was saved as JPEG; values are rounded to 8 bits and clipped.

    Images with 3 channels are colours at half the resolution (4:2:0); otherwise each channel is
    a grey image.

    Args:
        quality: Quality, 1 to 100, or an interval [min, max] from which each image draws a whole
            number.
    """

    factor, adds_mask = 1, False

    def __init__(self, *, quality: int | Sequence[int]) -> None:
        self.quality = Amount(quality, key="jpeg.quality", least=1, most=100, whole=True)

    def __call__(self, images: Tensor, *, draws: Draws) -> Degraded:
        """Return compressed images (B, C, H, W)."""
        quality = self.quality.draw(images, draws)
        levels = images.float().add(1).mul(127.5).round().clamp(0, 255)
        with torch.autocast(images.device.type, enabled=False):
            changed = _colour(levels, quality) if images.shape[1] == 3 else _grey(levels, quality)
        return Degraded((changed / 127.5 - 1).to(images.dtype), None)

    def protocol(self) -> dict[str, Any]:
        """Return the quality, and how colours are stored."""
        return {
            "kind": "jpeg", "quality": self.quality.value, "subsampling": "4:2:0",
            "clipped": True, "quantised": True,
        }  # fmt: skip


def _grey(levels: Tensor, quality: Tensor) -> Tensor:
    """Compress every channel (B, C, H, W) of levels 0 ... 255 as a grey image."""
    height, width = levels.shape[2:]
    blocks = _padded(levels - 128, 8)
    return (_quantised(blocks, LUMINANCE, quality)[..., :height, :width] + 128).clamp(0, 255)


def _colour(levels: Tensor, quality: Tensor) -> Tensor:
    """Compress RGB images (B, 3, H, W) of levels 0 ... 255."""
    height, width = levels.shape[2:]
    whole = _padded(_mixed(levels, TO_YCBCR).round(), 16)
    luma, colours = whole[:, :1] - 128, _halved(whole[:, 1:])
    luma = _quantised(luma, LUMINANCE, quality)[..., :height, :width].clamp(-128, 127) + 128
    colours = _quantised(colours, CHROMINANCE, quality).clamp(-128, 127)
    colours = colours[..., : math.ceil(height / 2), : math.ceil(width / 2)]
    colours = interpolate(colours, scale_factor=2, mode="bilinear").round()
    whole = torch.cat([luma, colours[..., :height, :width]], 1)
    return _mixed(whole, TO_RGB).round().clamp(0, 255)


def _mixed(images: Tensor, matrix: Sequence[Sequence[float]]) -> Tensor:
    return (images.new_tensor(matrix) @ images.flatten(2)).view_as(images)


def _padded(images: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sizes are multiples of a number."""
    height, width = images.shape[2:]
    return pad(images, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def _halved(images: Tensor) -> Tensor:
    """Return means of 2x2 pixels; halves are rounded down and up in turn, as libjpeg does."""
    height, width = images.shape[2:]
    sums = images.unflatten(3, (width // 2, 2)).unflatten(2, (height // 2, 2)).sum((3, 5))
    bias = 1 + torch.arange(width // 2, device=images.device) % 2
    return ((sums + bias) / 4).floor()


def _quantised(images: Tensor, table: Sequence[Sequence[int]], quality: Tensor) -> Tensor:
    """Round the cosine coefficients of each 8x8 block to multiples of their steps.

    Args:
        images: Levels around 0, (B, C, H, W); H and W are multiples of 8.
        table: Steps at quality 50.
        quality: Quality of each image, (B, 1, 1, 1).

    Returns:
        Rounded levels around 0.
    """
    basis = _cosines(images)
    steps = _steps(images.new_tensor(table), quality)[:, :, None, None]
    height, width = images.shape[2:]
    blocks = images.unflatten(3, (width // 8, 8)).unflatten(2, (height // 8, 8)).transpose(3, 4)
    coefficients = _away_from_0(basis @ blocks @ basis.T / steps) * steps
    blocks = (basis.T @ coefficients @ basis).round()
    return blocks.transpose(3, 4).reshape(images.shape)


def _away_from_0(values: Tensor) -> Tensor:
    """Round to whole numbers, halves away from 0 as libjpeg does; means are often halves.

    The small number is above the rounding errors of float32.
    """
    return values.sign() * (values.abs() + 0.5 + 1e-4).floor()


def _steps(table: Tensor, quality: Tensor) -> Tensor:
    """Return the steps (B, 1, 8, 8) of each quality (B, 1, 1, 1), as libjpeg scales them."""
    percent = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    return ((table * percent + 50) / 100).floor().clamp(1, 255)


def _cosines(like: Tensor) -> Tensor:
    """Return the orthonormal cosine transform of 8 values, (8, 8)."""
    k = torch.arange(8, dtype=torch.float64)
    matrix = torch.cos(math.pi * k[:, None] * (k + 0.5) / 8) / 2
    matrix[0] /= math.sqrt(2)
    return matrix.to(like)
