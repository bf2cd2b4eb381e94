"""The parts of DiffAugment, compared with slow and plain versions of themselves."""

import pytest
import torch

from limner.augmentations.diffaugment import Colour, Cutout, Translation

MIDDLE, LEAST, MOST = 0.5, 0.0, 1 - 2**-24


def draws(*values: float) -> torch.Tensor:
    return torch.tensor([values])


def test_colours_do_not_change_when_draws_are_in_the_middle():
    images = torch.randn(1, 3, 4, 4)
    colour = Colour(brightness=0.5, saturation=1.0, contrast=0.5)
    assert torch.allclose(colour(images, uniform=draws(MIDDLE, MIDDLE, MIDDLE)), images, atol=1e-6)


@pytest.mark.parametrize(("at", "sign"), [(LEAST, -1), (MOST, 1)])
def test_each_colour_changes_by_its_given_strength(at, sign):
    images = torch.randn(1, 3, 4, 4)
    colour = Colour(brightness=0.5, saturation=0.8, contrast=0.4)
    changed = colour(images, uniform=draws(at, MIDDLE, MIDDLE))
    assert torch.allclose(changed, images + sign * 0.5, atol=1e-6)
    changed = colour(images, uniform=draws(MIDDLE, at, MIDDLE))
    grey = images.mean(1, keepdim=True)
    assert torch.allclose(changed, grey + (1 + sign * 0.8) * (images - grey), atol=1e-6)
    changed = colour(images, uniform=draws(MIDDLE, MIDDLE, at))
    assert torch.allclose(
        changed, images.mean() + (1 + sign * 0.4) * (images - images.mean()), atol=1e-6
    )


def test_saturation_keeps_grey_and_contrast_keeps_the_mean():
    grey = torch.randn(5, 1, 4, 4)
    uniform = torch.rand(5, 3)
    only = Colour(brightness=0.0, saturation=1.0, contrast=0.0)
    assert torch.allclose(only(grey, uniform=uniform), grey, atol=1e-6)
    only = Colour(brightness=0.0, saturation=1.0, contrast=0.5)
    images = torch.randn(5, 3, 4, 4)
    assert torch.allclose(
        only(images, uniform=uniform).mean((1, 2, 3)), images.mean((1, 2, 3)), atol=1e-6
    )


def shifted(image: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Shift an image pixel by pixel."""
    height, width = image.shape[1:]
    out = torch.zeros_like(image)
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                out[:, y, x] = image[:, y - down, x - right]
    return out


def test_all_shifts_are_equally_likely():
    """1/4 of 8 x 4 pixels gives 5 x 3 shifts; a grid of draws reaches each equally often."""
    image = torch.arange(1, 65).view(2, 8, 4)
    grid = torch.cartesian_prod((torch.arange(15) + 0.5) / 15, (torch.arange(15) + 0.5) / 15)
    moved = Translation(max_fraction=0.25)(image.expand(225, -1, -1, -1), uniform=grid)
    counts = {
        (down, right): int((moved == shifted(image, down, right)).flatten(1).all(1).sum())
        for down in range(-2, 3)
        for right in range(-1, 2)
    }
    assert set(counts.values()) == {15}


@pytest.mark.parametrize("at", [LEAST, MOST])
def test_extreme_draws_give_the_largest_shifts(at):
    image = torch.arange(1.0, 65).view(1, 1, 8, 8)
    moved = Translation(max_fraction=0.25)(image, uniform=draws(at, at))
    assert torch.equal(moved[0], shifted(image[0], *([-2 if at == LEAST else 2] * 2)))


def test_cutout_is_centred_on_every_pixel_equally_often():
    """The hole has half the sides of 6 x 4 pixels, 3 x 2, and is cut off at the border."""
    grid = torch.cartesian_prod((torch.arange(6) + 0.5) / 6, (torch.arange(4) + 0.5) / 4)
    cut = Cutout(fraction=0.5)(torch.ones(24, 1, 6, 4), uniform=grid)
    holes = {tuple((image == 0).nonzero()[:, 1:].flatten().tolist()) for image in cut}
    expected = set()
    for y in range(6):
        for x in range(4):
            rows, columns = range(max(y - 1, 0), min(y + 2, 6)), range(max(x - 1, 0), x + 1)
            expected.add(tuple(i for row in rows for column in columns for i in (row, column)))
    assert len(holes) == 24
    assert holes == expected


@pytest.mark.parametrize("nothing", [Translation(max_fraction=0.0), Cutout(fraction=0.0)])
def test_diffaugment_changes_nothing_when_it_has_no_parts(nothing):
    images = torch.randn(9, 3, 5, 7)
    assert torch.equal(nothing(images, uniform=torch.rand(9, 2)), images)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Translation(max_fraction=1.5), lambda: Cutout(fraction=-0.5),
        lambda: Colour(brightness=0.5, saturation=-1.0, contrast=0.5),
    ],
)  # fmt: skip
def test_diffaugment_refuses_invalid_values(make):
    with pytest.raises(ValueError, match="must be"):
        make()
