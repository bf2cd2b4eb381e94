"""A picture of any mode and size becomes one uint8 array of the shape that is trained on.

The mode follows the number of channels (1: grey, 3: RGB, 4: RGBA); the size is reached by scaling
until the picture covers the target (Lanczos, antialiased) and cutting its centre, which leaves the
proportions as they were.
"""

__all__ = ["MODES", "RESIZE", "first_shape", "fits", "read_picture", "to_array"]

import logging
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from limner.data.sources import Pictures
from limner.errors import UserError

log = logging.getLogger(__name__)

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
RESIZE = "cover, centre-crop, lanczos"


def read_picture(pictures: Pictures, i: int) -> Image.Image:
    """The decoded picture of a number. Raises `UserError` that names it if it is corrupt."""
    try:
        return pictures.read(i)
    except Exception as error:  # PIL and zipfile raise a dozen kinds for a broken file
        raise UserError(
            f"The image {pictures.names[i]} cannot be read ({error}).\n"
            "Repair or remove it, or leave such images out: data.on_corrupt=skip"
        ) from error


def first_shape(pictures: Pictures) -> list[int]:
    """[C, H, W] of the first picture that can be read. Raises `UserError` if none can."""
    first = ImageOps.exif_transpose(_first_readable(pictures))
    grey = first.mode in ("1", "L", "LA") or first.mode.startswith("I")
    channels = 1 if grey else 4 if first.mode == "RGBA" else 3
    shape = [channels, first.height, first.width]
    log.info("data.image_shape=%s, after the first image (%s).", shape, MODES[channels])
    return shape


def fits(picture: Image.Image, image_shape: Sequence[int]) -> bool:
    """Whether the picture already has the mode and size of `image_shape` (C, H, W)."""
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


def _first_readable(pictures: Pictures) -> Image.Image:
    for i in range(len(pictures)):
        try:
            return read_picture(pictures, i)
        except UserError:
            continue
    raise UserError(f"None of the {len(pictures)} images can be read.")
