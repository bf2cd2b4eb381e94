"""Tiles of strips: parts of pictures in one size, side by side."""

__all__ = ["TILE", "centre", "colours", "fitted", "without_repeats"]

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor
from torch.nn.functional import pad

from limner.pixels import to_uint8

T = TypeVar("T")
TILE = 256  # pixels; height and width of a shown part of a picture


def centre(picture: Tensor) -> Tensor:
    """Return the centre of a picture (C, H, W), at most 256 x 256 pixels."""
    height, width = picture.shape[1:]
    y, x = max(0, (height - TILE) // 2), max(0, (width - TILE) // 2)
    return picture[:, y : y + TILE, x : x + TILE]


def colours(picture: Tensor) -> Tensor:
    """Return a picture of 3 channels, clamped to [-1, 1], on the CPU."""
    some = picture[:3] if picture.shape[0] >= 3 else picture[:1].expand(3, -1, -1)
    return some.detach().float().cpu().clamp(-1, 1)


def fitted(picture: Tensor) -> Tensor:
    """Return a tile uint8 (3, 256, 256) of a picture, enlarged by a whole factor, beside white."""
    factor = max(1, TILE // max(picture.shape[1:]))
    large = picture.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    below, beside = TILE - large.shape[1], TILE - large.shape[2]
    return to_uint8(pad(large, (0, beside, 0, below), value=1.0))


def without_repeats(strips: Mapping[str, T]) -> dict[str, T]:
    """Return strips by name; a strip that is there twice has both names, as "worst, best"."""
    names: dict[int, list[str]] = {}
    for name, strip in strips.items():
        names.setdefault(id(strip), []).append(name)
    return {", ".join(names[id(strip)]): strip for strip in strips.values()}
