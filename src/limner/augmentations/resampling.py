"""MATLAB's `imresize` as two small matrices, which most papers on super-resolution use.

Along an axis of n pixels, the result of size m at the scale s = m / n is a weighted mean:

    y[i] = sum_j w[i, j] x[j],   w[i, j] = k(t (u[i] - j)) / sum_l k(t (u[i] - l)),
    u[i] = (i + 1/2) / s - 1/2,  t = min(s, 1) with antialias, else 1

Beyond its border, the image repeats its outermost pixel, as in the versions of MATLAB that made
the usual test sets. (Later versions mirror the image, which changes only pixels at the border.)
The cubic kernel k is that of Keys (1981), https://doi.org/10.1109/TASSP.1981.1163711, with
a = -1/2. `torch.nn.functional.interpolate` leaves out the pixels beyond the border instead, and
without antialias its cubic kernel has a = -3/4.
"""

__all__ = ["KERNELS", "matlab_resize", "round_to_8_bits"]

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

LARGEST_CACHED = 2**18
"""Number of values of the largest matrix that is kept, 1 MiB in float32."""


class Kernel(NamedTuple):
    """A function of the distance in pixels, and the width of the interval where it is not 0."""

    function: Callable[[Tensor], Tensor]
    width: int


def matlab_resize(
    images: Tensor,
    *,
    factor: float | None = None,
    size: tuple[int, int] | None = None,
    kernel: str = "cubic",
    antialias: bool = True,
    quantise: bool = False,
) -> Tensor:
    """Resize images as MATLAB's `imresize` does.

    Without `quantise`, values are not rounded and not clipped: a cubic or Lanczos kernel
    overshoots at edges.

    Args:
        images: Images (B, C, H, W), float.
        factor: Height of the result / height of the images, above 0: 1/4 shrinks, 4 enlarges.
            The result has the size ceil(H * factor), ceil(W * factor).
        size: Height and width of the result; give either `factor` or `size`.
        kernel: Name of a kernel in `KERNELS`.
        antialias: Whether shrinking widens the kernel, so that every pixel counts.
        quantise: Whether images in [-1, 1] are treated as files of 8 bits: rounded and clipped at
            first and after each axis, as `imresize` does with uint8 images.

    Returns:
        Images of the same dtype.
    """
    if (factor is None) == (size is None):
        raise ValueError("matlab_resize takes either a factor or a size.")
    height, width = images.shape[2:]
    if size is None:
        size = tuple(math.ceil(round(n * factor, 6)) for n in (height, width))  # 3 * (1 / 3)
    scales = (size[0] / height, size[1] / width) if factor is None else (factor, factor)
    rows, columns = (
        _matrix_on(images.device, before, after, scale, kernel, antialias)
        for before, after, scale in zip((height, width), size, scales, strict=True)
    )
    # Autocast would multiply in bfloat16, which has fewer digits than an 8-bit pixel needs
    # (test_matlab_resize_keeps_all_digits_when_networks_use_half_precision).
    with torch.autocast(images.device.type, enabled=False):
        result = images.to(torch.promote_types(images.dtype, torch.float32))
        rows, columns = rows.to(result.dtype), columns.to(result.dtype)
        if quantise:
            result = _levels(result.add(1.0).mul_(127.5))
        for axis in (2, 3) if scales[0] <= scales[1] else (3, 2):
            result = rows @ result if axis == 2 else result @ columns.T
            if quantise:
                result = _levels(result)
        if quantise:
            result = result.div_(127.5).sub_(1.0)
    return result.to(images.dtype)


def round_to_8_bits(images: Tensor) -> Tensor:
    """Round images in [-1, 1] to the 256 values that a file can hold, and clip other values."""
    return _levels(images.add(1.0).mul_(127.5)).div_(127.5).sub_(1.0)


def _levels(values: Tensor) -> Tensor:
    """Round to the levels 0 ... 255 in place; halves, which are frequent, up as MATLAB does."""
    return values.add_(0.5).floor_().clamp_(0, 255)


def _matrix_on(
    device: torch.device, before: int, after: int, scale: float, kernel: str, antialias: bool
) -> Tensor:
    """Return the matrix of one axis on a device; a small matrix is kept for the next call."""
    make = _kept_matrix if before * after <= LARGEST_CACHED else _kept_matrix.__wrapped__
    return make(device, before, after, scale, kernel, antialias)


@lru_cache(maxsize=128)
def _kept_matrix(
    device: torch.device, before: int, after: int, scale: float, kernel: str, antialias: bool
) -> Tensor:
    return _matrix(before, after, scale, KERNELS[kernel], antialias).float().to(device)


def _matrix(before: int, after: int, scale: float, kernel: Kernel, antialias: bool) -> Tensor:
    """Return the weights (after, before) in float64 on the CPU."""
    shrink = min(scale, 1.0) if antialias else 1.0
    width = kernel.width / shrink
    centres = (torch.arange(after, dtype=torch.float64) + 0.5) / scale - 0.5
    num_taps = math.ceil(width) + 2
    taps = torch.floor(centres - width / 2)[:, None] + torch.arange(num_taps)
    weights = kernel.function(shrink * (centres[:, None] - taps))
    weights = weights / weights.sum(1, keepdim=True)
    pixels = taps.long().clamp(0, before - 1)
    zeros = torch.zeros(after, before, dtype=torch.float64)
    return zeros.scatter_add_(1, pixels, weights)


def _box(x: Tensor) -> Tensor:
    return ((x >= -0.5) & (x < 0.5)).to(x.dtype)


def _linear(x: Tensor) -> Tensor:
    return (1 - x.abs()).clamp(min=0)


def _cubic(x: Tensor) -> Tensor:
    x = x.abs()
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x <= 1, near, torch.where(x <= 2, far, 0.0))


def _lanczos3(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 3, torch.sinc(x) * torch.sinc(x / 3), 0.0)


KERNELS = {
    "box": Kernel(_box, 1),
    "linear": Kernel(_linear, 2),
    "cubic": Kernel(_cubic, 4),
    "lanczos3": Kernel(_lanczos3, 6),
}
"""Kernels by their names in `imresize`, except that its name of linear is triangle."""
