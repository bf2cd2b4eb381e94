"""A picture of any mode and size becomes one uint8 array of the shape that is trained on.

The mode follows the number of channels (1: grey, 3: RGB, 4: RGBA); the size is reached by scaling
until the picture covers the target (Lanczos, antialiased) and cutting its centre, which leaves the
proportions as they were.
"""

__all__ = ["MODES", "RESIZE", "fits", "to_array"]

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
RESIZE = "cover, centre-crop, lanczos"


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
