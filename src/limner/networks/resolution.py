"""Number of halvings of an image of any size, and the size of the coarsest map."""

__all__ = ["crop", "halvings", "pad", "pyramid"]

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

SMALLEST = 4  # default shorter side in pixels at which halving ends


def halvings(image_shape: Sequence[int], *, smallest: int = SMALLEST) -> int:
    """Return the largest n with min(H, W) / 2^n >= smallest, but at least 1.

    With smallest = 4, n is 3 for 32x32, 2 for 28x28, and 1 for 8x8.
    """
    height, width = image_shape[1:]
    if min(height, width) < 2 * SMALLEST:
        raise ValueError(
            f"data.image_shape={list(image_shape)} is too small for a convolutional network: the "
            f"shorter side must be {2 * SMALLEST} pixels or more (or network=mlp)."
        )
    return max(1, (min(height, width) // smallest).bit_length() - 1)


def pyramid(
    image_shape: Sequence[int], width: int, max_width: int, *, smallest: int = SMALLEST
) -> tuple[list[int], int, int]:
    """Return the channels of each level, the finest first, and the coarsest height and width.

    The channels double from level to level. Halving rounds up, so that 2^n times the coarsest
    size covers the image.
    """
    n = halvings(image_shape, smallest=smallest)
    channels = [min(width * 2**level, max_width) for level in range(n)]
    return channels, -(-image_shape[1] // 2**n), -(-image_shape[2] // 2**n)


def crop(images: Tensor, image_shape: Sequence[int]) -> Tensor:
    """Return the centre (B, C, H, W) of images that may be a little larger."""
    height, width = image_shape[1:]
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    return images[:, :, top : top + height, left : left + width]


def pad(images: Tensor, image_shape: Sequence[int], *, smallest: int = SMALLEST) -> Tensor:
    """Return images with a margin of zeros, so that halving leaves no rest; see `crop`."""
    n = halvings(image_shape, smallest=smallest)
    rest_height, rest_width = (-size % 2**n for size in image_shape[1:])
    if rest_height == rest_width == 0:
        return images
    left, top = rest_width // 2, rest_height // 2
    return functional.pad(images, (left, rest_width - left, top, rest_height - top))
