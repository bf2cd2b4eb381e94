"""Conversion of a PIL picture of any mode to the arrays that a model of pictures reads."""

__all__ = ["PictureInput", "picture_input", "stacked_views"]

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from limner.data.decode import MODES, upright
from limner.errors import UserError


class PictureInput(NamedTuple):
    """A picture as a model reads it, and what its result needs."""

    pixels: np.ndarray
    """uint8 (H, W, C)."""
    mask: np.ndarray | None
    """bool (H, W), true where a pixel is known; None for a model that reads no mask."""
    alpha: Image.Image | None
    """Opacity (mode L) that the model does not read; None for an opaque picture."""
    is_grey: bool
    """Whether the file has grey pixels."""
    changes: tuple[str, ...]
    """Conversions that change values, such as "CMYK to RGB"."""


def picture_input(picture: Image.Image, *, channels: int, needs_mask: bool) -> PictureInput:
    """Return a decoded picture as arrays, turned as its EXIF orientation states.

    Args:
        picture: Picture of any mode.
        channels: Number of channels that the model reads: 1, 3, or 4 with transparency.
        needs_mask: Whether the model fills holes; the transparent pixels are the holes.

    Raises:
        UserError: If the model fills holes and the picture has none.
        NotPlainError: If values of 16 bits or more cannot be scaled to 8 bits.
    """
    mode, changes = picture.mode, []
    if mode.startswith(("I", "F")):
        changes.append("more than 8 bits to 8 bits")
    picture = upright(picture)
    is_grey = mode in ("1", "L", "LA", "La", "F") or mode.startswith("I")
    alpha = _alpha(picture)
    if needs_mask and alpha is None:
        raise UserError(
            "it has no transparent pixels; this model fills holes, and transparent pixels are "
            "the holes"
        )
    if picture.mode == "La":  # PIL converts La to no other mode than LA
        picture = picture.convert("LA")
    target = MODES[channels]
    if target == "L" and not is_grey:
        changes.append("colour to grey")
    if target != "L" and is_grey:
        changes.append("grey to colour for the model, and the result to grey")
    if mode in ("CMYK", "YCbCr", "HSV"):
        changes.append(f"{mode} to RGB")
    if picture.mode != target:
        picture = picture.convert(target)
    pixels = np.array(picture, np.uint8).reshape(picture.height, picture.width, channels)
    mask = np.asarray(alpha) == 255 if needs_mask else None
    carried = None if needs_mask or channels == 4 else alpha
    return PictureInput(pixels, mask, carried, is_grey, tuple(changes))


def stacked_views(views: Sequence[np.ndarray]) -> np.ndarray:
    """Return the views of one picture, each uint8 (H, W, C), as uint8 (H, W, N * C).

    Raises:
        UserError: If the views differ in size.
    """
    sizes = sorted({view.shape[:2] for view in views})
    if sizes[1:]:
        (height, width), (tall, wide) = sizes[:2]
        raise UserError(
            f"the views of a picture must have one size, not {width}x{height} and {wide}x{tall}"
        )
    return np.concatenate(views, axis=2)


def _alpha(picture: Image.Image) -> Image.Image | None:
    """Return the opacity of a picture; None if all its pixels are opaque."""
    if not picture.has_transparency_data:
        return None
    if picture.mode == "La":
        picture = picture.convert("LA")
    if picture.mode not in ("LA", "RGBA"):
        picture = picture.convert("RGBA")
    alpha = picture.getchannel("A")
    return None if alpha.getextrema()[0] == 255 else alpha
