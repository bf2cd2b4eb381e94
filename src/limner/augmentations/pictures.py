"""Augmentation of the training images of a data set, made of named parts.

All geometric parts (`limner.augmentations.geometry`) of a picture are one map of the plane, and
its pixels are looked up once, whatever the number of parts. Parts that change values
(`limner.augmentations.values`) follow in their order. Every picture of a batch has its own draw.
"""

__all__ = ["GeometricPart", "PictureAugmentation", "ValuePart"]

import functools
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from limner.augmentations.random_columns import RandomColumns

Interpolation = Literal["bilinear", "bicubic"]


class GeometricPart(Protocol):
    """A part that moves pixels, see `limner.augmentations.geometry`."""

    num_draws: int
    """Number of random numbers per picture."""
    is_off: bool
    """Whether the part changes nothing."""

    def inverse(self, draws: RandomColumns, *, height: int, width: int) -> Tensor:
        """Return where the pixels of pictures (height, width) come from: (B, 3, 3).

        A matrix maps (x, y, 1), in pixels around the centre, to the homogeneous coordinates of
        the position that is looked up.
        """


class ValuePart(Protocol):
    """A part that changes the values of pixels, see `limner.augmentations.values`."""

    num_draws: int
    """Number of random numbers per picture."""
    is_off: bool
    """Whether the part changes nothing."""

    def change(self, images: Tensor, *, draws: RandomColumns, factor: int) -> Tensor:
        """Return changed pictures (B, C, H, W) of float values in [0, 255].

        The result may leave this range. The pictures are `factor` times as large as the smallest
        pictures of their samples.
        """


class PictureAugmentation:
    """Several changes of uint8 images, each image by its own random numbers.

    The result of an image depends on the image and its random numbers only. Whole-pixel flips,
    quarter turns and shifts copy pixels; an image that is not moved keeps its exact pixels.

    Args:
        interpolation: "bilinear", or "bicubic", which keeps more detail and is slower.
        parts: Parts by name, in their order. The geometric parts come first in any case.
    """

    def __init__(
        self, *, interpolation: Interpolation, parts: Mapping[str, GeometricPart | ValuePart]
    ) -> None:
        if interpolation not in ("bilinear", "bicubic"):
            raise ValueError(
                f"data.augmentation.interpolation={interpolation}: must be bilinear or bicubic."
            )
        for name, part in parts.items():
            if not hasattr(part, "inverse") and not hasattr(part, "change"):
                raise ValueError(
                    f"data.augmentation.parts.{name}: {type(part).__name__} has no method inverse "
                    "or change.\nlimner.augmentations.pictures documents both."
                )
        self.interpolation = interpolation
        self.parts = dict(parts)
        self._nums = [part.num_draws for part in self.parts.values()]
        self.num_draws = sum(self._nums)

    def __call__(self, images: Tensor, *, uniform: Tensor) -> Tensor:
        """Return the changed uint8 images (B, C, H, W); `uniform` (B, num_draws) in [0, 1)."""
        return self.apply_all([images], uniform=uniform, colours=[True])[0]

    def apply_all(
        self, pictures: Sequence[Tensor], *, uniform: Tensor, colours: Sequence[bool]
    ) -> list[Tensor]:
        """Change several pictures of each sample by the same draw.

        Args:
            pictures: Pictures uint8 (B, C, H, W), one tensor for each picture of a sample. They
                may differ in C, and in H and W by the same whole factor.
            uniform: Random numbers (B, num_draws) from U[0, 1).
            colours: For each of the pictures, whether its values may change (colour, blur,
                cutout). Otherwise the picture is only moved.

        Returns:
            Pictures of the same shapes.

        Raises:
            ValueError: If the sizes of the pictures differ by no whole factor.
        """
        height, width = min(picture.shape[2:] for picture in pictures)
        factors = [_factor(picture, height=height, width=width) for picture in pictures]
        draws = dict(zip(self.parts, uniform.split(self._nums, dim=1), strict=True))
        on = {name: part for name, part in self.parts.items() if not part.is_off}
        moving = {name: part for name, part in on.items() if hasattr(part, "inverse")}
        changing = {name: part for name, part in on.items() if name not in moving}
        source = None
        if moving:
            matrices = [
                part.inverse(RandomColumns(draws[name]), height=height, width=width)
                for name, part in moving.items()
            ]
            source = functools.reduce(torch.matmul, matrices)
        results = []
        for picture, factor, may_change in zip(pictures, factors, colours, strict=True):
            result = picture
            if source is not None:
                result = _moved(picture, _rescaled(source, factor), mode=self.interpolation)
            if may_change and changing:
                result = result.float()
                for name, part in changing.items():
                    own = RandomColumns(draws[name])
                    result = part.change(result, draws=own, factor=factor)
            results.append(_to_bytes(result))
        return results


def _factor(picture: Tensor, *, height: int, width: int) -> int:
    """Return how many times as large a picture is as the smallest picture of its sample."""
    factor = picture.shape[2] // height
    if picture.shape[2:] != (factor * height, factor * width):
        raise ValueError(
            f"Pictures of one sample have {tuple(picture.shape[2:])} and {(height, width)} "
            "pixels: their sizes must be equal, or differ by a whole factor."
        )
    return factor


def _rescaled(source: Tensor, factor: int) -> Tensor:
    """Return the same maps for pictures that are `factor` times as large."""
    size = source.new_tensor([factor, factor, 1])
    return size[:, None] * source / size


def _moved(images: Tensor, source: Tensor, *, mode: str) -> Tensor:
    """Return float images (B, C, H, W), looked up at the positions of a map.

    If all positions are whole pixels, the values are copies up to rounding. For sides of up to
    8,192 pixels, the positions are exact to 0.001 pixels, and the result rounds to the same bytes.
    """
    height, width = images.shape[2:]
    half = source.new_tensor([width, height]) / 2  # grid_sample's unit
    grid = _positions(source[:, :2] / half[:, None], height, width)
    grid /= _positions(source[:, 2:], height, width)
    return grid_sample(
        images.float(), grid, mode=mode, padding_mode="reflection", align_corners=False
    )


def _positions(rows: Tensor, height: int, width: int) -> Tensor:
    """Return the products (B, H, W, K) of K rows (B, K, 3) with each pixel's (x, y, 1)."""
    x = torch.arange(width, device=rows.device) - (width - 1) / 2
    y = torch.arange(height, device=rows.device) - (height - 1) / 2
    by_x, by_y, constant = (column[:, None, None] for column in rows.unbind(2))
    return by_x * x[:, None] + (by_y * y[:, None, None] + constant)


def _to_bytes(images: Tensor) -> Tensor:
    return images if images.dtype == torch.uint8 else images.round_().clamp_(0, 255).byte()
