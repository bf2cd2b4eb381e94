"""Refusal to train on the size of the first picture if the pictures look like photos.

Any size up to 128 pixels per side is accepted: such data sets are made to be trained on. Larger
pictures are assumed to be photos. They must all have the same size, of at most 512 pixels per
side.
"""

__all__ = ["LARGE", "refuse_photos"]

from collections.abc import Sequence

from PIL import ImageOps

from limner.data.decode import read_picture
from limner.data.sources import Pictures
from limner.errors import UserError

LARGE, TOO_LARGE = 128, 512
"""Limits of the longer side in pixels. Above the first, all pictures must have one size; above the
second, pictures are refused."""
NUM_LOOKED_AT = 16
"""Number of pictures, spread over the data set, whose sizes are compared."""


def refuse_photos(pictures: Pictures, image_shape: Sequence[int]) -> None:
    """Raise `UserError` for photos if data.image_shape is not set.

    Args:
        pictures: Training pictures.
        image_shape: [C, H, W] of the first picture.
    """
    channels, height, width = image_shape
    if max(height, width) <= LARGE:
        return
    if max(height, width) > TOO_LARGE:
        found = f"the first image has {width}x{height} pixels"
    else:
        other = _other_size(pictures, (width, height))
        if other is None:
            return
        found = f"images have {width}x{height} and {other[0]}x{other[1]} pixels"
    raise UserError(
        f"data.image_shape=null would train on the size of the first image, but {found}.\n"
        f"Choose channels, height and width: data.image_shape=[{channels},64,64]"
    )


def _other_size(pictures: Pictures, size: tuple[int, int]) -> tuple[int, int] | None:
    """Return a size that differs from `size`; None if all compared pictures have `size`."""
    step = max(1, len(pictures) // NUM_LOOKED_AT)
    for i in range(0, len(pictures), step):
        try:
            found = ImageOps.exif_transpose(read_picture(pictures, i)).size
        except UserError:
            continue  # data.on_corrupt determines how corrupt pictures are treated
        if found != size:
            return found
    return None
