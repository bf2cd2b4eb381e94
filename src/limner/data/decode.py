"""Conversion of a picture of any mode and size to a uint8 array of the shape to train on.

The number of channels determines the mode (1: grey, 3: RGB, 4: RGBA). To reach the size, a picture
is scaled until it covers the target (Lanczos, antialiased) and its centre is cropped, which keeps
the proportions. Transparent pixels are composed over a background colour first, unless the image
has four channels. Values of 16 bits are scaled to 8 bits; float values range from 0 to 1.
"""

__all__ = [
    "MODES", "RESIZE", "CorruptPicture", "Decoded", "decode", "first_shape", "fits",
    "none_readable", "read_picture", "shape_of", "to_array", "upright",
]  # fmt: skip

import json
import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from limner.cache import cached_folder, discard_folder, find_folder
from limner.data.backgrounds import Colour, compose
from limner.data.listings import NUM_KEPT_FROM
from limner.data.sources import Pictures, SourceError
from limner.errors import UserError
from limner.files.plain import NotPlainError, read_json
from limner.files.printable import printable

log = logging.getLogger(__name__)

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
RESIZE = "cover, centre-crop, lanczos"
BITS_PER_SAMPLE = 258
"""TIFF tag with the number of bits per value."""
SHAPES = "shapes"
SHAPE_FORMAT = 2


class CorruptPicture(UserError):
    """A picture that cannot be read.

    Args:
        name: Name of the picture, from a folder or a .zip file.
        reason: Reason why it cannot be read.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = printable(name), printable(reason)
        super().__init__(
            f"The image {self.name} cannot be read ({self.reason}).\n"
            "Repair or remove it, or leave such images out: data.on_corrupt=skip"
        )


class Decoded(NamedTuple):
    """A picture in the shape to train on."""

    array: np.ndarray
    """uint8 (C, H, W)."""
    converted: bool
    """Whether the picture had another mode or size, or transparent pixels."""
    composed: bool
    """Whether transparent pixels were composed over the background."""


def read_picture(pictures: Pictures, i: int) -> Image.Image:
    """Return the decoded picture number i.

    Raises:
        CorruptPicture: If the picture cannot be read.
        SourceError: If the source returned no PIL image.
    """
    try:
        return pictures.read(i)
    except SourceError:
        raise
    except Exception as error:  # PIL and zipfile raise a dozen exception types for broken files
        raise CorruptPicture(pictures.names[i], _reason(error)) from error


def decode(
    pictures: Pictures, i: int, image_shape: Sequence[int | None], *, background: Colour
) -> Decoded:
    """Return picture number i in the shape (C, H, W), or at its own size for (C, None, None).

    Raises:
        CorruptPicture: If the picture cannot be read, or its values cannot be scaled to 8 bits.
    """
    picture = read_picture(pictures, i)
    try:
        if image_shape[1] is None:
            image_shape = [image_shape[0], *shape_of(picture)[1:]]
        array, composed = _converted(picture, image_shape, background)
    except Exception as error:  # PIL cannot convert a few rare modes
        raise CorruptPicture(pictures.names[i], _reason(error)) from error
    return Decoded(array, composed or not fits(picture, image_shape), composed)


def first_shape(pictures: Pictures) -> list[int]:
    """Return [C, H, W] of the first readable picture, cached for large data sets.

    Raises:
        UserError: If no picture can be read.
    """
    key = [SHAPE_FORMAT, pictures.fingerprint]
    shape = _kept_shape(key)
    if shape is None:
        shape = shape_of(_first_readable(pictures))
        if len(pictures) >= NUM_KEPT_FROM:
            text = json.dumps(shape)
            cached_folder(SHAPES, key, lambda into: (into / "shape.json").write_text(text))
    log.info("data.image_shape=%s is the shape of the first image (%s).", shape, MODES[shape[0]])
    return shape


def shape_of(picture: Image.Image) -> list[int]:
    """Return [C, H, W] of a picture as displayed: turned upright, with 1 or 3 channels.

    Transparency does not count as a channel: pictures are composed on `data.background`. To keep
    the transparency, the user must set `data.image_shape` to a shape of four channels.
    """
    upright = ImageOps.exif_transpose(picture)
    grey = upright.mode in ("1", "F", "L", "LA", "La") or upright.mode.startswith("I")
    return [1 if grey else 3, upright.height, upright.width]


def fits(picture: Image.Image, image_shape: Sequence[int]) -> bool:
    """Return whether the picture already has the mode and size of `image_shape` (C, H, W)."""
    channels, height, width = image_shape
    return picture.mode == MODES[channels] and picture.size == (width, height)


def to_array(
    picture: Image.Image, image_shape: Sequence[int], *, background: Colour
) -> np.ndarray:
    """Convert a picture of any mode and size to uint8 (C, H, W).

    Transparent pixels are composed over the background, unless C is 4.

    Raises:
        NotPlainError: If the picture has values that cannot be scaled, see `_eight_bits`.
        ValueError: If PIL cannot convert its mode.
    """
    return _converted(picture, image_shape, background)[0]


def upright(picture: Image.Image) -> Image.Image:
    """Return a picture with 8 bits per channel, turned as its EXIF orientation states.

    Raises:
        NotPlainError: If the picture has values that cannot be scaled, see `_eight_bits`.
    """
    bits = _bits(picture)
    return _eight_bits(ImageOps.exif_transpose(picture), bits)


def _converted(
    picture: Image.Image, image_shape: Sequence[int], background: Colour
) -> tuple[np.ndarray, bool]:
    """Return the array, and whether transparent pixels were composed over the background."""
    channels, height, width = image_shape
    picture = upright(picture)
    picture, composed = (picture, False) if channels == 4 else compose(picture, background)
    if picture.mode != MODES[channels]:
        picture = picture.convert(MODES[channels])
    if picture.size != (width, height):
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    array = np.asarray(picture, dtype=np.uint8).reshape(height, width, channels)
    return array.transpose(2, 0, 1), composed


def _bits(picture: Image.Image) -> int:
    """Return the number of bits per value of a deep grey picture: 16, or a TIFF's own number."""
    bits = getattr(picture, "tag_v2", {}).get(BITS_PER_SAMPLE, (16,))
    return bits[0] if bits[0] in range(8, 16) else 16


def _eight_bits(picture: Image.Image, bits: int) -> Image.Image:
    """Return the picture with 8 bits per channel; PIL would clip values instead of scaling them.

    Raises:
        NotPlainError: If integers need more than 16 bits, or floats are not between 0 and 1.
    """
    if not picture.mode.startswith(("I", "F")):
        return picture
    values = np.asarray(picture)
    lowest, highest = values.min(), values.max()
    if picture.mode == "F":
        if not (lowest >= 0 and highest <= 1):
            raise NotPlainError(
                f"has values from {lowest:g} to {highest:g}; floats are read from 0 (black) to 1"
            )
        return Image.fromarray(np.rint(values * 255).astype(np.uint8))
    if lowest < 0 or highest >= 2**16:
        raise NotPlainError(
            f"has values from {lowest} to {highest}; integers may have at most 16 bits"
        )
    return Image.fromarray((values >> (bits - 8)).astype(np.uint8))


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _kept_shape(key: list) -> list[int] | None:
    """Return the cached shape of `key`, or None; a damaged entry is removed."""
    folder = find_folder(SHAPES, key)
    if folder is None:
        return None
    try:
        shape = read_json(folder / "shape.json")
    except NotPlainError:
        shape = None
    match shape:
        case [1 | 3 | 4, int(height), int(width)] if height > 0 and width > 0:
            return shape
    discard_folder(SHAPES, key)
    return None


def _first_readable(pictures: Pictures) -> Image.Image:
    first: UserError | None = None
    for i in range(len(pictures)):
        try:
            return read_picture(pictures, i)
        except CorruptPicture as error:
            first = first or error
    raise none_readable(pictures, first)


def none_readable(pictures: Pictures, first: Exception | None) -> UserError:
    """Return the error for a split without a readable picture; `first` is one of the reasons."""
    reason = str(first).splitlines()[0] if first is not None else "it is empty."
    return UserError(f"None of the {len(pictures):,} images can be read. {reason}")
