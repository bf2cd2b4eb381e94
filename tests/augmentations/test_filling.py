"""The pull-push fill keeps known pixels, and fills holes with averages of known pixels."""

import pytest
import torch

from limner.augmentations.filling import PullPush, pull_push


def holes(height=21, width=34, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 1, height, width, generator=generator) < 0.3


def test_known_pixels_stay_and_unknown_values_are_not_read():
    images, is_known = torch.randn(2, 3, 21, 34), holes()
    filled = pull_push(images, is_known)
    assert torch.equal(filled.masked_select(is_known), images.masked_select(is_known))
    assert torch.equal(pull_push(images.masked_fill(~is_known, torch.nan), is_known), filled)
    assert torch.equal(PullPush()(images, is_known), filled)


def test_fill_lies_between_the_known_pixels_and_keeps_a_constant():
    images, is_known = torch.rand(2, 3, 21, 34), holes()
    filled = pull_push(images, is_known)
    for image, known, made in zip(images, is_known, filled, strict=True):
        seen = image.masked_select(known).view(3, -1)
        assert (made.flatten(1).amin(1) >= seen.amin(1) - 1e-6).all()
        assert (made.flatten(1).amax(1) <= seen.amax(1) + 1e-6).all()
    grey = torch.full_like(images, 0.4)
    torch.testing.assert_close(pull_push(grey, is_known), grey)


@pytest.mark.parametrize("size", [(16, 16), (17, 30), (1, 9)])
def test_fill_of_a_smooth_picture_is_near_it(size):
    height, width = size
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    image = (0.5 * x + 0.3 * y)[None, None]
    is_known = torch.ones_like(image, dtype=torch.bool)
    is_known[..., height // 3 : height // 3 + 4, width // 3 : width // 3 + 4] = False
    error = (pull_push(image, is_known) - image).abs()
    assert error.max() < 0.5 * image.abs().max()
    assert error.max() > 0


def test_hole_gets_the_colour_of_its_side_of_an_edge():
    image = torch.ones(1, 1, 32, 32)
    image[..., :16] = -1
    is_known = torch.ones_like(image, dtype=torch.bool)
    is_known[..., 14:18, 2:6] = False
    is_known[..., 14:18, 26:30] = False
    torch.testing.assert_close(pull_push(image, is_known), image)


def test_image_without_known_pixels_becomes_zero():
    images = torch.randn(1, 3, 8, 8)
    assert not pull_push(images, torch.zeros(1, 1, 8, 8, dtype=torch.bool)).any()


def test_gradient_reaches_the_known_pixels_only():
    images, is_known = torch.randn(1, 1, 9, 9, requires_grad=True), holes(9, 9)[:1]
    pull_push(images, is_known).sum().backward()
    assert torch.equal(images.grad != 0, is_known)
