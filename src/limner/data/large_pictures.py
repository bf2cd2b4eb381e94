"""Refuses to take the size of the first picture for the size to train on where that is a mistake.

Up to 128 pixels a side any size is taken: such data sets are made to be trained on. Above, the
pictures are taken for photos: they must all have one size, of 512 pixels a side at most.
"""

__all__ = ["LARGE", "refuse_photos"]

from collections.abc import Sequence

from PIL import ImageOps

from limner.data.decode import read_picture
from limner.data.sources import Pictures
from limner.errors import UserError

LARGE, TOO_LARGE = 128, 512
"""Pixels of the longer side: above the first a size is looked into, above the second refused."""
NUM_LOOKED_AT = 16
"""Pictures, spread over all, whose sizes are compared."""


def refuse_photos(pictures: Pictures, image_shape: Sequence[int]) -> None:
    """Raise `UserError` for photos without data.image_shape.

    Args:
        pictures: The training pictures.
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
    """Return the size of a picture that differs; None if none of those looked at does."""
    step = max(1, len(pictures) // NUM_LOOKED_AT)
    for i in range(0, len(pictures), step):
        try:
            found = ImageOps.exif_transpose(read_picture(pictures, i)).size
        except UserError:
            continue  # data.on_corrupt decides about it
        if found != size:
            return found
    return None
