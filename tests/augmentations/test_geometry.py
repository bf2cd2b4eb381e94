"""Each geometric part alone: what it does to pixels, its identity and its distribution."""

import math

import pytest
import torch

from limner.augmentations.geometry import (
    Affine,
    Crop,
    Flips,
    Perspective,
    QuarterTurns,
    Rotation,
    Scale,
    Shift,
)
from limner.augmentations.pictures import PictureAugmentation
from limner.augmentations.random_columns import RandomColumns

AT_ZERO = {
    "flips": Flips(horizontal=0, vertical=0),
    "turns": QuarterTurns(probability=0),
    "rotation": Rotation(probability=1, max_degrees=0),
    "never rotation": Rotation(probability=0, max_degrees=90),
    "shift": Shift(probability=1, max_fraction=0),
    "never shift": Shift(probability=0, max_fraction=1),
    "crop": Crop(probability=1, min_area=1, max_aspect=1),
    "never crop": Crop(probability=0, min_area=0.2, max_aspect=2),
    "scale": Scale(probability=1, max_factor=1),
    "never scale": Scale(probability=0, max_factor=3),
    "affine": Affine(probability=1, max_shear=0, max_stretch=1),
    "never affine": Affine(probability=0, max_shear=30, max_stretch=2),
    "perspective": Perspective(probability=1, max_tilt=0),
    "never perspective": Perspective(probability=0, max_tilt=0.4),
}
PARTS = {
    "flips": Flips(horizontal=0.5, vertical=0.5),
    "turns": QuarterTurns(probability=0.75),
    "rotation": Rotation(probability=0.75, max_degrees=180),
    "shift": Shift(probability=0.75, max_fraction=0.5),
    "crop": Crop(probability=0.75, min_area=0.2, max_aspect=2),
    "scale": Scale(probability=0.75, max_factor=2),
    "affine": Affine(probability=0.75, max_shear=30, max_stretch=1.5),
    "perspective": Perspective(probability=0.75, max_tilt=0.4),
}


def noise(num: int, height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (num, 3, height, width), dtype=torch.uint8)


def augmented(part, images, uniform):
    augmentation = PictureAugmentation(interpolation="bilinear", parts={"part": part})
    if not torch.is_tensor(uniform):
        uniform = torch.tensor(uniform).expand(len(images), -1)
    return augmentation(images, uniform=uniform)


def inverses(part, num: int, *, height: int, width: int) -> torch.Tensor:
    uniform = torch.rand(num, part.num_draws, generator=torch.Generator().manual_seed(0))
    return part.inverse(RandomColumns(uniform), height=height, width=width)


@pytest.mark.parametrize("name", AT_ZERO)
def test_part_without_strength_or_probability_is_the_identity(name):
    part = AT_ZERO[name]
    assert part.is_off
    found = inverses(part, 50, height=6, width=9)
    assert torch.equal(found, torch.eye(3).expand(50, 3, 3))


@pytest.mark.parametrize("name", PARTS)
def test_part_keeps_constant_images_constant(name):
    images = torch.randint(0, 256, (20, 3, 1, 1), dtype=torch.uint8).expand(-1, -1, 12, 16)
    found = augmented(PARTS[name], images, torch.rand(20, PARTS[name].num_draws))
    assert torch.equal(found, images)


@pytest.mark.parametrize("name", PARTS)
def test_part_is_applied_with_its_probability(name):
    """A flip and a quarter turn that are drawn may be the identity."""
    expected = {"flips": 3 / 4, "turns": 0.75 * 3 / 4}.get(name, 0.75)
    found = inverses(PARTS[name], 4000, height=40, width=40)
    share = (found != torch.eye(3)).flatten(1).any(1).float().mean().item()
    assert share == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(("height", "width"), [(5, 8), (6, 6), (1, 2048), (33, 64)])
@pytest.mark.parametrize(
    ("draws", "dims"), [((0.2, 0.9), [3]), ((0.9, 0.2), [2]), ((0, 0), [2, 3])]
)
def test_flips_copy_pixels_and_are_involutions(height, width, draws, dims):
    images = noise(4, height, width)
    once = augmented(PARTS["flips"], images, draws)
    assert torch.equal(once, images.flip(dims))
    assert torch.equal(augmented(PARTS["flips"], once, draws), images)


@pytest.mark.parametrize("size", [1, 6, 7, 512])
@pytest.mark.parametrize("turns", range(4))
def test_quarter_turns_copy_pixels(size, turns):
    images = noise(2, size, size)
    found = augmented(QuarterTurns(probability=1), images, [turns / 4 + 0.1, 0.0])
    assert torch.equal(found, images.rot90(turns, [2, 3]))


def test_quarter_turns_are_half_turns_of_images_that_are_not_square():
    images = noise(2, 6, 9)
    for draw, expected in ((0.4, images), (0.6, images.flip([2, 3]))):
        assert torch.equal(augmented(QuarterTurns(probability=1), images, [draw, 0.0]), expected)


@pytest.mark.parametrize("size", [7, 32, 200])
def test_rotation_by_90_degrees_is_exact(size):
    images = noise(2, size, size)
    part = Rotation(probability=1, max_degrees=90)
    assert torch.equal(augmented(part, images, [0.0, 0.0]), images.rot90(1, [2, 3]))
    part = Rotation(probability=1, max_degrees=180)
    assert torch.equal(augmented(part, images, [0.0, 0.0]), images.flip([2, 3]))


def test_rotation_has_uniform_angles():
    found = inverses(Rotation(probability=1, max_degrees=30), 5000, height=9, width=9)
    degrees = torch.rad2deg(torch.atan2(found[:, 1, 0], found[:, 0, 0]))
    assert degrees.abs().max() <= 30.001
    assert degrees.mean().item() == pytest.approx(0, abs=0.8)
    assert degrees.var().item() == pytest.approx(60**2 / 12, rel=0.05)


def test_shift_copies_pixels_and_mirrors_beyond_the_border():
    images = noise(3, 16, 20)
    found = augmented(Shift(probability=1, max_fraction=0.25), images, [1 - 1e-7, 0.0, 0.0])
    assert torch.equal(found[..., :-4, 5:], images[..., 4:, :-5]), "5 right and 4 up"
    assert torch.equal(found[..., :-4, :5], images[..., 4:, :5].flip(-1))


def test_shift_has_uniform_whole_pixels():
    found = inverses(Shift(probability=1, max_fraction=0.25), 5000, height=40, width=80)[:, :2, 2]
    assert torch.equal(found, found.round())
    for numbers, most in zip(found.unbind(1), (20, 10), strict=True):
        assert numbers.abs().max() == most
        assert numbers.mean().item() == pytest.approx(0, abs=0.5)
        assert numbers.var().item() == pytest.approx((2 * most) ** 2 / 12, rel=0.1)


def test_crop_lies_within_the_picture_and_has_the_area_that_is_drawn():
    height, width = 30, 50
    part = Crop(probability=1, min_area=0.3, max_aspect=1)
    found = inverses(part, 5000, height=height, width=width)
    corners = found @ torch.tensor([[-25.0, 25], [-15.0, 15], [1, 1]])
    assert corners[:, 0].abs().max() <= 25.001
    assert corners[:, 1].abs().max() <= 15.001
    area = found[:, 0, 0] * found[:, 1, 1]
    assert area.mean().item() == pytest.approx(0.65, abs=0.01)
    assert area.var().item() == pytest.approx(0.7**2 / 12, rel=0.05)
    found = inverses(Crop(probability=1, min_area=0.3, max_aspect=1.5), 5000, height=9, width=9)
    ratio = (found[:, 0, 0] / found[:, 1, 1]).log() / math.log(1.5)
    assert ratio.min() >= -1.001
    assert 0.9 < ratio.max() <= 1.001
    assert ratio.mean().item() == pytest.approx(0, abs=0.03)


def test_scale_by_2_repeats_the_inner_pixels():
    """The result has 4 pixels for each of the inner pixels, a quarter of a pixel from it."""
    line = torch.arange(16, dtype=torch.uint8) * 8
    images = line.expand(1, 1, 16, 16)
    found = augmented(Scale(probability=1, max_factor=2), images, [1 - 1e-7, 0.0])
    expected = 8 * ((torch.arange(16) - 7.5) / 2 + 7.5)
    assert torch.equal(found[0, 0, 0].float(), expected)


def test_scale_has_a_uniform_logarithm():
    found = inverses(Scale(probability=1, max_factor=2), 5000, height=9, width=9)
    assert torch.equal(found[:, 0, 0], found[:, 1, 1])
    logs = found[:, 0, 0].log2()
    assert logs.mean().item() == pytest.approx(0, abs=0.03)
    assert logs.var().item() == pytest.approx(4 / 12, rel=0.05)


def test_affine_keeps_the_centre_and_has_uniform_shears():
    found = inverses(Affine(probability=1, max_shear=30, max_stretch=1), 5000, height=9, width=9)
    assert (found[:, :2, 2] == 0).all()
    for shear in (found[:, 0, 1], found[:, 1, 0]):
        degrees = torch.rad2deg(torch.atan(shear))
        assert degrees.mean().item() == pytest.approx(0, abs=0.8)
        assert degrees.var().item() == pytest.approx(60**2 / 12, rel=0.05)
    found = inverses(Affine(probability=1, max_shear=0, max_stretch=2), 5000, height=9, width=9)
    assert torch.allclose(found[:, 0, 0] * found[:, 1, 1], torch.ones(5000)), "equal areas"
    assert found[:, 0, 0].log2().var().item() == pytest.approx(4 / 12, rel=0.05)


def test_perspective_keeps_the_centre_and_magnifies_one_side():
    part = Perspective(probability=1, max_tilt=0.4)
    matrix = part.inverse(RandomColumns(torch.tensor([[1 - 1e-7, 0.5, 0.0]])), height=20, width=40)
    for x, expected in ((0.0, 0.0), (20.0, 20 / 1.4), (-20.0, -20 / 0.6)):
        there = matrix[0] @ torch.tensor([x, 0.0, 1.0])
        assert (there[0] / there[2]).item() == pytest.approx(expected, rel=1e-5)
    found = inverses(part, 5000, height=2, width=2)[:, 2, :2]
    assert found.mean().item() == pytest.approx(0, abs=0.02)
    assert found.var().item() == pytest.approx(0.8**2 / 12, rel=0.05)


@pytest.mark.parametrize(
    ("part", "kwargs", "message"),
    [
        (Flips, {"horizontal": 1.2, "vertical": 0}, "flips.horizontal=1.2: must be in .0, 1."),
        (Rotation, {"probability": -1, "max_degrees": 9}, "rotation.probability=-1: must be"),
        (Rotation, {"probability": 1, "max_degrees": 181}, "max_degrees=181: must be in .0, 180."),
        (Shift, {"probability": 1, "max_fraction": 2}, "shift.max_fraction=2: must be in"),
        (Crop, {"probability": 1, "min_area": 0, "max_aspect": 1}, "crop.min_area=0: must be"),
        (Crop, {"probability": 1, "min_area": 1, "max_aspect": 0.5}, "must be 1 or more"),
        (Scale, {"probability": 1, "max_factor": 0.9}, "scale.max_factor=0.9: must be 1 or more"),
        (Affine, {"probability": 1, "max_shear": 45, "max_stretch": 1}, "affine.max_shear=45"),
        (Perspective, {"probability": 1, "max_tilt": 0.5}, "perspective.max_tilt=0.5"),
        (QuarterTurns, {"probability": 2}, "quarter_turns.probability=2"),
    ],
)
def test_part_refuses_a_value_outside_its_range(part, kwargs, message):
    with pytest.raises(ValueError, match=message):
        part(**kwargs)
