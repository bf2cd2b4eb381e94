"""Images of any size fit networks that halve the resolution."""

import pytest
import torch

from limner.networks.resolution import crop, halvings, pad, pyramid

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 40, 56), (2, 33, 17)]


@pytest.mark.parametrize(("size", "n"), [(8, 1), (15, 1), (16, 2), (28, 2), (32, 3), (256, 6)])
def test_halvings_leave_at_least_four_pixels(size, n):
    assert halvings((1, size, size)) == n


@pytest.mark.parametrize(
    ("size", "smallest", "n"), [(8, 7, 1), (28, 7, 2), (32, 7, 2), (48, 3, 4)]
)
def test_halvings_leave_as_many_pixels_as_requested(size, smallest, n):
    shape = (3, size, size)
    assert halvings(shape, smallest=smallest) == n
    assert pyramid(shape, 4, 16, smallest=smallest)[1] == size / 2**n


def test_too_small_image_is_refused():
    with pytest.raises(ValueError, match="must be 8 pixels or more"):
        halvings((3, 64, 7))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("smallest", [3, 4])
def test_crop_undoes_pad(shape, smallest):
    images = torch.randn(2, *shape)
    padded = pad(images, shape, smallest=smallest)
    n = halvings(shape, smallest=smallest)
    assert all(size % 2**n == 0 for size in padded.shape[2:])
    assert torch.equal(crop(padded, shape), images)
