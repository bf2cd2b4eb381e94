"""The filters of sym6, and the properties that a transformation through them keeps."""

import math

import pytest
import torch
from torch.nn.functional import affine_grid, grid_sample

from limner.augmentations.warping import SYM6, downsample, upsample, warp

SHAPES = [(1, 3, 8, 8), (2, 1, 7, 12), (2, 3, 5, 4), (1, 1, 1, 2), (1, 2, 33, 16)]


def turn(degrees: float, size: int) -> torch.Tensor:
    """Return the source of each pixel of an image that is turned around its centre."""
    cos, sin, centre = (
        math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), (size - 1) / 2,
    )  # fmt: skip
    rows = [[cos, -sin, centre * (1 - cos + sin)], [sin, cos, centre * (1 - cos - sin)]]
    return torch.tensor([rows], dtype=torch.float64)


def shift(x: float, y: float) -> torch.Tensor:
    return torch.tensor([[[1, 0, -x], [0, 1, -y]]], dtype=torch.float64)


def test_sym6_is_orthonormal_with_six_vanishing_moments():
    h = torch.tensor(SYM6, dtype=torch.float64)
    assert len(h) == 12
    assert h.sum().item() == pytest.approx(math.sqrt(2), abs=1e-15)
    for k in range(6):
        product = (h[2 * k :] * h[: 12 - 2 * k]).sum().item()
        assert product == pytest.approx(1.0 if k == 0 else 0.0, abs=1e-15)
    n = torch.arange(12, dtype=torch.float64) - 5.5
    for moment in range(6):
        assert ((-1) ** torch.arange(12) * n**moment * h).sum().abs() < 1e-11
    assert ((-1) ** torch.arange(12) * n**6 * h).sum().abs() > 1, "moment 6 does not vanish"


def test_sym6_has_an_almost_linear_phase():
    """db6, the extremal-phase filter with the same properties, reaches 0.83 at its best tap."""
    h = torch.tensor(SYM6)
    mirrored = torch.cat([h[:-1].flip(0), torch.zeros(1)]).roll(2)  # phase relative to tap 6
    assert (h * mirrored).sum() > 0.96


@pytest.mark.parametrize("shape", SHAPES)
def test_downsample_undoes_upsample(shape):
    images = torch.randn(shape, dtype=torch.float64)
    rows, columns = (torch.arange(2 * size + 10) % (4 * size) for size in shape[2:])
    doubled = upsample(images)[..., rows[:, None], columns]
    assert torch.allclose(downsample(doubled), images, atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_warp_by_nothing_returns_the_images(shape):
    images = torch.randn(shape, dtype=torch.float64)
    assert torch.allclose(warp(images, source=shift(0, 0).repeat(len(images), 1, 1)), images)
    single = warp(images.float(), source=shift(0, 0).repeat(len(images), 1, 1))
    assert torch.allclose(single, images.float(), atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_warp_keeps_constant_images_constant(shape):
    images = torch.full(shape, 0.7)
    source = torch.randn(shape[0], 2, 3) * torch.tensor([1.0, 1.0, 30.0])
    assert torch.allclose(warp(images, source=source), images, atol=1e-5)


@pytest.mark.parametrize("by", [(1, 0), (0, -2), (3, -1), (-4, 4)])
def test_warp_moves_by_whole_pixels_exactly(by):
    images = torch.randn(2, 3, 20, 23, dtype=torch.float64)
    result = warp(images, source=shift(*by).repeat(2, 1, 1))
    plane = torch.cat([images.flip(-1), images, images.flip(-1)], -1)
    plane = torch.cat([plane.flip(-2), plane, plane.flip(-2)], -2)
    expected = plane.roll(by, (-1, -2))[..., 20:40, 23:46]
    assert torch.allclose(result, expected, atol=1e-9)


def waves(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return a smooth image with periods of 5 to 9 pixels."""
    return torch.cos(0.9 * x + 0.4) + torch.sin(1.1 * y) + torch.cos(0.7 * x - 0.9 * y)


@pytest.mark.parametrize("degrees", [3.0, 10.0, -35.0, 120.0])
def test_warp_keeps_more_detail_than_bilinear_lookup(degrees):
    size = 40
    line = torch.arange(size, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    image, source = waves(x, y)[None, None], turn(degrees, size)
    (xx, xy, x0), (yx, yy, y0) = source[0]
    expected = waves(xx * x + xy * y + x0, yx * x + yy * y + y0)
    turned = turn(degrees, 1)[:, :, :2]  # around the centre, in units in which the border is 1
    grid = affine_grid(
        torch.cat([turned, torch.zeros(1, 2, 1)], 2), [1, 1, size, size], align_corners=False
    )
    plain = grid_sample(image, grid, align_corners=False)
    inner = (0, 0, slice(13, -13), slice(13, -13))
    error = (warp(image, source=source)[inner] - expected[13:-13, 13:-13]).abs().mean()
    assert error < 0.5 * (plain[inner] - expected[13:-13, 13:-13]).abs().mean()


def test_warp_mirrors_smooth_images_at_their_borders_any_number_of_times():
    """Cosines that are mirrored at the borders equal their own continuation."""
    height, width = 24, 30
    y, x = torch.arange(height) + 0.5, torch.arange(width) + 0.5

    def plane(x, y):
        return torch.cos(math.pi * 3 / width * x) + torch.cos(math.pi * 2 / height * y)[:, None]

    image = plane(x, y)[None, None]
    for by in [(7.3, 2.6), (-21.5, 40.2), (100.0, -75.25)]:
        result = warp(image, source=shift(*by))
        assert torch.allclose(result[0, 0], plane(x - by[0], y - by[1]), atol=0.02)


def test_warp_has_correct_first_and_second_gradients():
    images = torch.randn(2, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    source = torch.randn(2, 2, 3, dtype=torch.float64)

    def cubed(images):
        return warp(images, source=source) ** 3

    assert torch.autograd.gradcheck(cubed, images)
    assert torch.autograd.gradgradcheck(cubed, images)
