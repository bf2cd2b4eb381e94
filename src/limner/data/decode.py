"""A picture of any mode and size becomes one uint8 array of the shape that is trained on.

The mode follows the number of channels (1: grey, 3: RGB, 4: RGBA); the size is reached by scaling
until the picture covers the target (Lanczos, antialiased) and cutting its centre, which leaves the
proportions as they were.
"""

__all__ = ["MODES", "RESIZE", "first_shape", "fits", "read_picture", "to_array"]

import json
import logging
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from limner.cache import cached_folder, discard_folder, find_folder
from limner.data.listings import NUM_KEPT_FROM
from limner.data.sources import Pictures
from limner.errors import UserError
from limner.files.plain import NotPlainError, read_json
from limner.files.printable import printable

log = logging.getLogger(__name__)

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
RESIZE = "cover, centre-crop, lanczos"
SHAPES = "shapes"
SHAPE_FORMAT = 1


def read_picture(pictures: Pictures, i: int) -> Image.Image:
    """The decoded picture of a number. Raises `UserError` that names it if it is corrupt."""
    try:
        return pictures.read(i)
    except Exception as error:  # PIL and zipfile raise a dozen kinds for a broken file
        reason = str(error) or type(error).__name__
        raise UserError(
            f"The image {printable(pictures.names[i])} cannot be read ({reason}).\n"
            "Repair or remove it, or leave such images out: data.on_corrupt=skip"
        ) from error


def first_shape(pictures: Pictures) -> list[int]:
    """Return [C, H, W] of the first picture that can be read, which the cache keeps.

    Raises:
        UserError: If no picture can be read.
    """
    key = [SHAPE_FORMAT, pictures.fingerprint]
    shape = _kept_shape(key)
    if shape is None:
        first = ImageOps.exif_transpose(_first_readable(pictures))
        grey = first.mode in ("1", "L", "LA") or first.mode.startswith("I")
        channels = 1 if grey else 4 if first.mode == "RGBA" else 3
        shape = [channels, first.height, first.width]
        if len(pictures) >= NUM_KEPT_FROM:
            text = json.dumps(shape)
            cached_folder(SHAPES, key, lambda into: (into / "shape.json").write_text(text))
    log.info("data.image_shape=%s, after the first image (%s).", shape, MODES[shape[0]])
    return shape


def fits(picture: Image.Image, image_shape: Sequence[int]) -> bool:
    """Return whether the picture already has the mode and size of `image_shape` (C, H, W)."""
    channels, height, width = image_shape
    return picture.mode == MODES[channels] and picture.size == (width, height)


def to_array(picture: Image.Image, image_shape: Sequence[int]) -> np.ndarray:
    """uint8 array (C, H, W) of a picture of any mode and size."""
    channels, height, width = image_shape
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # 16-bit grey: PIL would clip it at 255 instead of scaling
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode != MODES[channels]:
        picture = picture.convert(MODES[channels])
    if picture.size != (width, height):
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture, dtype=np.uint8).reshape(height, width, channels).transpose(2, 0, 1)


def _kept_shape(key: list) -> list[int] | None:
    """The shape that the cache has for `key`; one that is damaged is removed."""
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
    for i in range(len(pictures)):
        try:
            return read_picture(pictures, i)
        except UserError:
            continue
    raise UserError(f"None of the {len(pictures)} images can be read.")
