"""Degradations that lose detail by shrinking a picture as MATLAB does."""

__all__ = ["Downscale", "Resize"]

from typing import Any

from torch import Tensor

from limner.augmentations.degradations.protocols import Degraded, Draws
from limner.augmentations.resampling import KERNELS, matlab_resize


class Resize:
    """A small copy of the picture, the input of super-resolution.

    Args:
        factor: Height of the picture / height of the copy, a whole number from 1 on.
        kernel: Kernel: cubic | box | linear | lanczos3.
        antialias: Whether the kernel is as wide as `factor` pixels, so that every pixel counts.
        quantise: Whether to round to 8 bits and to clip, as MATLAB does with pictures of files.
    """

    adds_mask = False

    def __init__(self, *, factor: int, kernel: str, antialias: bool, quantise: bool) -> None:
        if factor < 1:
            raise ValueError(f"data.scale={factor}: must be 1 or more.")
        _check_kernel("resize", kernel)
        self.factor, self.kernel, self.antialias, self.quantise = (
            factor, kernel, antialias, quantise,
        )  # fmt: skip

    def __call__(self, images: Tensor, *, draws: Draws) -> Degraded:
        """Return copies (B, C, ceil(H / factor), ceil(W / factor)); `draws` is not used."""
        small = matlab_resize(
            images, factor=1 / self.factor, kernel=self.kernel, antialias=self.antialias,
            quantise=self.quantise,
        )  # fmt: skip
        return Degraded(small, None)

    def protocol(self) -> dict[str, Any]:
        """Return how the copy is made."""
        return {
            "kind": "resize", "resampler": "imresize", "factor": self.factor,
            "kernel": self.kernel, "antialias": self.antialias, "quantised": self.quantise,
        }  # fmt: skip


class Downscale:
    """A picture that was shrunk and enlarged again by a cubic kernel; it keeps its size.

    Args:
        ratio: Height of the picture / height of the shrunk picture, at least 1.
        kernel: Kernel that shrinks: cubic | box | linear | lanczos3.
        antialias: Whether the kernel is as wide as `ratio` pixels, so that every pixel counts.
    """

    factor, adds_mask = 1, False

    def __init__(self, *, ratio: float, kernel: str, antialias: bool) -> None:
        if ratio < 1:
            raise ValueError(f"data.degradation.parts.downscale.ratio={ratio}: must be 1 or more.")
        _check_kernel("downscale", kernel)
        self.ratio, self.kernel, self.antialias = ratio, kernel, antialias

    def __call__(self, images: Tensor, *, draws: Draws) -> Degraded:
        """Return images (B, C, H, W) with less detail; `draws` is not used."""
        small = matlab_resize(
            images, factor=1 / self.ratio, kernel=self.kernel, antialias=self.antialias
        )
        return Degraded(matlab_resize(small, size=tuple(images.shape[2:]), kernel="cubic"), None)

    def protocol(self) -> dict[str, Any]:
        """Return how detail is lost."""
        return {
            "kind": "downscale", "resampler": "imresize", "ratio": self.ratio,
            "kernel": self.kernel, "antialias": self.antialias,
        }  # fmt: skip


def _check_kernel(part: str, kernel: str) -> None:
    if kernel not in KERNELS:
        raise ValueError(
            f"data.degradation.parts.{part}.kernel={kernel}: must be {' | '.join(KERNELS)}."
        )
