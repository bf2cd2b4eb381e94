"""Parts that change values: colour, blur and cutout, each alone."""

import math

import pytest
import scipy.ndimage
import torch

from limner.augmentations.random_columns import RandomColumns
from limner.augmentations.values import Blur, Colour, Cutout

NONE = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
OFF = [
    Colour(probability=1, **NONE),
    Colour(probability=0, brightness=1, contrast=1, saturation=1, hue=180),
    Blur(probability=1, max_sigma=0),
    Blur(probability=0, max_sigma=0.2),
    Cutout(probability=1, fraction=0),
    Cutout(probability=0, fraction=1),
]


def levels(num: int, channels: int = 3, height: int = 12, width: int = 16) -> torch.Tensor:
    return torch.randint(0, 256, (num, channels, height, width)).float()


def changed(part, images, uniform=None, factor=1):
    if uniform is None:
        uniform = torch.rand(len(images), part.num_draws)
    elif not torch.is_tensor(uniform):
        uniform = torch.tensor(uniform).expand(len(images), -1)
    return part.change(images, draws=RandomColumns(uniform), factor=factor)


@pytest.mark.parametrize("part", OFF)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_values_part_without_strength_or_probability_is_the_identity(part, channels):
    images = levels(30, channels)
    assert part.is_off
    assert torch.allclose(changed(part, images), images, atol=1e-3)


def test_colour_changes_grey_by_brightness_and_contrast():
    """A sum of 0.1 is 25.5 levels; a factor of 1.5 acts on the distance from 127.5."""
    grey = torch.tensor([[0.0, 100.0, 255.0]]).view(1, 1, 1, 3)
    for images in (grey, grey.expand(-1, 3, -1, -1), grey.expand(-1, 2, -1, -1)):
        one = 1 - 1e-7
        part = Colour(probability=1, **{**NONE, "brightness": 0.1})
        found = changed(part, images, [one, 0.5, 0.5, 0.5, 0.0])
        assert torch.allclose(found, images + 25.5, atol=1e-3)
        part = Colour(probability=1, **{**NONE, "contrast": 0.5})
        found = changed(part, images, [0.5, one, 0.5, 0.5, 0.0])
        assert torch.allclose(found, 127.5 + 1.5 * (images - 127.5), atol=1e-3)
        part = Colour(probability=1, **{**NONE, "saturation": 1.0, "hue": 180})
        found = changed(part, images, [0.5, 0.5, 0.0, 0.1, 0.0])
        assert torch.allclose(found, images, atol=1e-3), "grey stays grey"


def test_colour_without_saturation_is_grey_and_a_third_of_a_turn_permutes_the_channels():
    images = levels(5)
    part = Colour(probability=1, **{**NONE, "saturation": 1.0})
    found = changed(part, images, [0.5, 0.5, 0.0, 0.5, 0.0])
    assert torch.allclose(found, images.mean(1, keepdim=True).expand_as(images), atol=1e-3)
    part = Colour(probability=1, **{**NONE, "hue": 120})
    found = changed(part, images, [0.5, 0.5, 0.5, 1 - 1e-7, 0.0])
    assert torch.allclose(found, images.roll(1, 1), atol=1e-2)


def test_colour_keeps_the_alpha_channel():
    images = levels(20, 4)
    part = Colour(probability=1, brightness=0.5, contrast=0.5, saturation=0.5, hue=90)
    found = changed(part, images)
    assert torch.equal(found[:, 3], images[:, 3])
    assert (found[:, :3] - images[:, :3]).abs().max() > 20


def test_colour_draws_have_their_mean_and_variance():
    part = Colour(probability=1, **{**NONE, "brightness": 0.2})
    found = changed(part, torch.zeros(5000, 1, 1, 1)) / 255
    assert found.mean().item() == pytest.approx(0, abs=0.005)
    assert found.var().item() == pytest.approx(0.4**2 / 12, rel=0.05)
    part = Colour(probability=0.5, **{**NONE, "contrast": 0.4})
    found = (changed(part, torch.full((5000, 1, 1, 1), 255.0)) - 127.5) / 127.5
    assert found.mean().item() == pytest.approx(1, abs=0.01)
    assert found.var().item() == pytest.approx(0.5 * 0.8**2 / 12, rel=0.1)


def test_blur_is_the_gaussian_filter_of_scipy():
    images = levels(3, 2, 20, 30)
    found = changed(Blur(probability=1, max_sigma=0.1), images, [0.75, 0.0])
    for image, mine in zip(images.flatten(0, 1), found.flatten(0, 1), strict=True):
        expected = scipy.ndimage.gaussian_filter(
            image.numpy(), 1.5, mode="reflect", truncate=8 / 1.5
        )
        assert torch.allclose(mine, torch.from_numpy(expected), atol=0.02)


def test_blur_keeps_constant_images_and_has_uniform_strengths():
    constant = torch.full((50, 3, 9, 7), 201.0)
    part = Blur(probability=1, max_sigma=0.25)
    assert torch.allclose(changed(part, constant), constant, atol=1e-3)
    point = torch.zeros(2000, 1, 1, 81)
    point[..., 40] = 1
    point = point.expand(-1, -1, 81, -1)
    found = changed(Blur(probability=1, max_sigma=0.05), point)[:, 0, 40]
    sigma = ((torch.arange(81) - 40) ** 2 * found).sum(1).sqrt()[None]
    assert sigma.max() < 4.06
    assert sigma.mean().item() == pytest.approx(2.0, abs=0.1)
    assert sigma.var().item() == pytest.approx(4.05**2 / 12, rel=0.1)


def test_cutout_hides_a_rectangle_of_its_size():
    images = torch.zeros(500, 3, 20, 30)
    found = changed(Cutout(probability=0.5, fraction=0.4), images)
    assert set(found.unique().tolist()) == {0.0, 127.5}
    hidden = (found[:, 0] > 0).sum((1, 2))
    assert hidden.max() == 8 * 12
    assert (hidden > 0).float().mean().item() == pytest.approx(0.5, abs=0.08)


def test_cutout_of_a_larger_picture_hides_the_same_share():
    part, uniform = Cutout(probability=1, fraction=0.37), torch.rand(40, 3)
    small = changed(part, torch.zeros(40, 1, 10, 14), uniform)
    large = changed(part, torch.zeros(40, 1, 30, 42), uniform, factor=3)
    assert torch.equal(large, small.repeat_interleave(3, 2).repeat_interleave(3, 3))


@pytest.mark.parametrize(
    ("part", "kwargs", "message"),
    [
        (Colour, {"probability": 1, **NONE, "contrast": 2}, "colour.contrast=2: must be in"),
        (Colour, {"probability": 1, **NONE, "hue": math.inf}, "colour.hue=inf: must be in"),
        (Blur, {"probability": 1, "max_sigma": 0.5}, "blur.max_sigma=0.5: must be in"),
        (Cutout, {"probability": 1, "fraction": 1.5}, "cutout.fraction=1.5: must be in"),
    ],
)
def test_values_part_refuses_a_value_outside_its_range(part, kwargs, message):
    with pytest.raises(ValueError, match=message):
        part(**kwargs)
