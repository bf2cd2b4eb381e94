"""ADA's transformations, compared one by one with their definitions, and their order."""

import math

import pytest
import scipy.stats
import torch

from limner.augmentations.ada_transforms import (
    NUM_DRAWS_COLOUR,
    NUM_DRAWS_GEOMETRY,
    change_colour,
    move,
)

P = torch.tensor(0.5)
NO, YES = 0.75, 0.25  # a draw above P and a draw below P
# Columns of each transformation: the values first; the last column decides whether it is applied.
FLIP, QUARTER, SHIFT, SCALE = (0, 1), (2, 3), (4, 5, 6), (7, 8)
BEFORE, STRETCH, AFTER, FURTHER = (9, 10), (11, 12), (13, 14), (15, 16, 17)
BRIGHTNESS, CONTRAST, LUMA, HUE, SATURATION = (0, 1), (2, 3), (4, 5), (6, 7), (8, 9)


def only(num_columns: int, *applied: tuple[tuple[int, ...], tuple]) -> torch.Tensor:
    """Return draws that apply no transformation except the named ones, with their values."""
    num = max([len(v) for _, values in applied for v in values if torch.is_tensor(v)], default=1)
    uniform = torch.full((num, num_columns), NO)
    for (*columns, decides), values in applied:
        uniform[:, decides] = 0.0
        for column, value in zip(columns, values, strict=True):
            uniform[:, column] = value
    return uniform


def moved(images, *applied):
    uniform = only(NUM_DRAWS_GEOMETRY, *applied).expand(len(images), -1)
    return move(images, uniform=uniform, p=P)


def coloured(images, *applied):
    uniform = only(NUM_DRAWS_COLOUR, *applied)
    return change_colour(images.expand(len(uniform), -1, -1, -1), uniform=uniform, p=P)


def normal(value: float) -> float:
    """Return the uniform draw that gives a normal number."""
    return scipy.stats.norm.cdf(value)


def ramps(size: int) -> torch.Tensor:
    """Return two one-channel images: the x and the y of each pixel relative to the centre."""
    line = torch.arange(size) - (size - 1) / 2
    return torch.stack([line.expand(size, size), line[:, None].expand(size, size)])[:, None]


def test_draws_have_exactly_the_columns_in_use():
    assert max(FURTHER) + 1 == NUM_DRAWS_GEOMETRY
    assert max(SATURATION) + 1 == NUM_DRAWS_COLOUR


def test_ada_changes_nothing_when_all_probabilities_are_0():
    images = torch.rand(64, 3, 8, 12) * 2 - 1
    none = torch.tensor(0.0)
    same = move(images, uniform=torch.rand(64, NUM_DRAWS_GEOMETRY), p=none)
    assert torch.allclose(same, images, atol=1e-5)
    same = change_colour(images, uniform=torch.rand(64, NUM_DRAWS_COLOUR), p=none)
    assert torch.allclose(same, images, atol=1e-6)


def test_flip_mirrors_the_image():
    images = torch.randn(3, 2, 6, 8)
    assert torch.equal(moved(images, (FLIP, [0.7])), images.flip(-1))
    assert torch.equal(moved(images, (FLIP, [0.3])), images)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_quarter_turns_are_exact(quarters):
    images = torch.randn(3, 2, 7, 7)
    turned = moved(images, (QUARTER, [(quarters + 0.5) / 4]))
    assert torch.equal(turned, images.rot90(quarters, (-1, -2)))


@pytest.mark.parametrize(("height", "width"), [(6, 10), (9, 5), (6, 7)])
@pytest.mark.parametrize("flip", [0.3, 0.7])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_quarter_turns_of_an_oblong_image_keep_its_centre(height, width, flip, quarters):
    """If height and width differ by an odd number, the centre is kept to half a pixel."""
    images = torch.randn(2, 3, height, width)
    whole = images.flip(-1) if flip > 0.5 else images
    whole = torch.cat([whole.flip(-1), whole, whole.flip(-1)], -1)
    whole = torch.cat([whole.flip(-2), whole, whole.flip(-2)], -2)
    whole = whole.rot90(quarters, (-1, -2))
    y, x = (whole.shape[2] - height) / 2, (whole.shape[3] - width) / 2
    candidates = [
        whole[..., top : top + height, left : left + width]
        for top in {math.floor(y), math.ceil(y)}
        for left in {math.floor(x), math.ceil(x)}
    ]
    result = moved(images, (FLIP, [flip]), (QUARTER, [(quarters + 0.5) / 4]))
    assert any(torch.equal(result, each) for each in candidates)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 12), (15, 18)])
def test_tiny_geometric_change_agrees_with_blitting(height, width):
    """The two ways to move a pixel, copying and filtering, agree up to the border."""
    images = torch.randn(2, 3, height, width)
    for flip, quarters, x, y in [(0.7, 0, 0.5, 0.5), (0.3, 1, 0.7, 0.2), (0.7, 3, 0.3, 0.8)]:
        blit = ((FLIP, [flip]), (QUARTER, [(quarters + 0.5) / 4]), (SHIFT, [x, y]))
        expected = moved(images, *blit)
        result = moved(images, *blit, (BEFORE, [0.5 + 1e-6]))
        assert not torch.equal(result, expected)
        assert torch.allclose(result, expected, atol=1e-3)


def test_image_without_a_geometric_change_keeps_its_pixels():
    """Other images of the batch are filtered; this image must not be."""
    images = torch.randn(64, 3, 12, 12)
    uniform = torch.rand(64, NUM_DRAWS_GEOMETRY)
    uniform[::2, [decides for *_, decides in (SCALE, BEFORE, STRETCH, AFTER, FURTHER)]] = NO
    uniform[1::2, SCALE[-1]] = YES
    uniform[::4, [decides for *_, decides in (FLIP, QUARTER, SHIFT)]] = NO
    result = move(images, uniform=uniform, p=P)
    assert torch.equal(result[::4], images[::4])
    pixels = [set(each.flatten().tolist()) for each in images]
    copies = [
        set(each.flatten().tolist()) <= own for each, own in zip(result, pixels, strict=True)
    ]
    assert all(copies[::2])
    assert not any(copies[1::2])


def test_half_precision_images_are_transformed_in_single_precision():
    images, uniform = torch.rand(8, 3, 32, 32) * 2 - 1, torch.rand(8, NUM_DRAWS_GEOMETRY)
    result = move(images.bfloat16(), uniform=uniform, p=torch.tensor(1.0))
    assert result.dtype == torch.bfloat16
    expected = move(images.bfloat16().float(), uniform=uniform, p=torch.tensor(1.0))
    assert torch.equal(result, expected.bfloat16())


def test_shift_moves_whole_pixels_and_mirrors_at_the_border():
    """The largest shift is 1/8 of 16 pixels; draws of 1 and 0 move 2 right and 2 up."""
    images = torch.randn(3, 1, 16, 16)
    result = moved(images, (SHIFT, [1 - 1e-6, 0.0]))
    assert torch.allclose(result[..., :-2, 2:], images[..., 2:, :-2], atol=1e-4)
    assert torch.allclose(result[..., :-2, :2], images[..., 2:, :2].flip(-1), atol=1e-4)
    result = moved(images, (SHIFT, [0.5 + 0.4 / 4, 0.5]))
    assert torch.allclose(result, images, atol=1e-5), "0.4 pixels round to 0"


@pytest.mark.parametrize(
    ("applied", "x", "y"),
    [
        ((SCALE, [normal(2.5)]), (0.5**0.5, 0), (0, 0.5**0.5)),
        ((SCALE, [normal(-2.5)]), (2**0.5, 0), (0, 2**0.5)),
        ((STRETCH, [normal(2.5)]), (0.5**0.5, 0), (0, 2**0.5)),
        ((BEFORE, [0.75]), (0, 1), (-1, 0)),
        (
            (AFTER, [0.5 + 1 / 8]),
            (math.sqrt(0.5), math.sqrt(0.5)),
            (-math.sqrt(0.5), math.sqrt(0.5)),
        ),
    ],
)
def test_ramp_shows_the_source_of_each_pixel(applied, x, y):
    """On a linear image, a pixel is exact if its source is far enough inside the border."""
    images, (dx, dy) = ramps(33), ramps(33)[:, 0]
    result = moved(images, applied)[:, 0]
    for image, (a, b) in zip(result, (x, y), strict=True):
        expected = a * dx + b * dy
        inside = (x[0] * dx + x[1] * dy).abs().max(((y[0] * dx) + y[1] * dy).abs()) < 8
        assert torch.allclose(image[inside], expected[inside], atol=2e-3)


def test_fractional_shift_is_a_share_of_the_side():
    """The standard deviation is 1/8 of the width of 16, so half of it is a shift by 1 pixel."""
    images = torch.randn(2, 1, 16, 16)
    result = moved(images, (FURTHER, [normal(0.5), normal(0.0)]))
    assert torch.allclose(result[..., 1:], images[..., :-1], atol=1e-4)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((FLIP, [0.7]), (QUARTER, [0.3])),
        ((QUARTER, [0.3]), (SHIFT, [1 - 1e-6, 0.0])),
        ((SHIFT, [1 - 1e-6, 0.0]), (BEFORE, [0.75])),
        ((SHIFT, [1 - 1e-6, 0.5]), (STRETCH, [normal(-2.5)])),
        ((BEFORE, [0.75]), (STRETCH, [normal(-2.5)])),
        ((STRETCH, [normal(-2.5)]), (AFTER, [0.75])),
        ((AFTER, [0.75]), (FURTHER, [normal(1.0), normal(0.5)])),
    ],
)
def test_transformations_are_applied_one_after_the_other(first, second):
    """The order is the paper's order; the other order gives another image."""
    both, inner = moved(ramps(33), first, second), (..., slice(14, 19), slice(14, 19))
    one_by_one = moved(moved(ramps(33), first), second)
    assert torch.allclose(both[inner], one_by_one[inner], atol=1e-3)
    other = moved(moved(ramps(33), second), first)
    assert (both - other)[inner].abs().max() > 0.3


@pytest.mark.parametrize("p", [0.2, 0.7])
def test_each_transformation_is_applied_with_its_probability(p):
    """Half of the flips and a quarter of the quarter turns change nothing."""
    image = torch.randn(1, 1, 4, 4).expand(4000, -1, -1, -1)
    shares = {FLIP: p / 2, QUARTER: 3 * p / 4, SCALE: p, STRETCH: p, FURTHER: p}
    shares |= {(*BEFORE, *AFTER): p}  # Two rotations are drawn, and at least one of them happens.
    for columns, expected in shares.items():
        uniform = torch.ones(4000, NUM_DRAWS_GEOMETRY)
        uniform[:, list(columns)] = torch.rand(4000, len(columns))
        changed = move(image, uniform=uniform, p=torch.tensor(p)) - image
        share = (changed.abs().flatten(1).amax(1) > 1e-4).float().mean().item()
        assert share == pytest.approx(expected, abs=0.03), columns


def test_random_values_have_the_distributions_of_the_paper():
    """Each value is computed from a changed colour or ramp."""
    u = (torch.arange(2000) + 0.5) / 2000
    grey, red = torch.full((1, 1, 1, 1), 1.0), torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    brightness = (coloured(0 * grey, (BRIGHTNESS, [u])) / 0.2).flatten()
    contrast = (coloured(grey, (CONTRAST, [u])).log2() / 0.5).flatten()
    saturation = coloured(red, (SATURATION, [u]))[:, :, 0, 0]
    saturation = (saturation[:, 0] - saturation[:, 1]).log2()
    uniform = only(NUM_DRAWS_GEOMETRY, (SCALE, [u]))
    images = ramps(25)[:1].expand(2000, -1, -1, -1)
    scale = -move(images, uniform=uniform, p=P)[:, 0, 12, 13].log2() / 0.2
    for numbers in (brightness, contrast, saturation, scale):
        assert scipy.stats.kstest(numbers.numpy(), "norm").pvalue > 0.99


def test_colour_matrix_is_the_product_of_its_parts():
    """The parts: contrast, luma flip (a reflection), hue (a matrix exponential), saturation."""
    images = torch.rand(50, 3, 5, 5) * 2 - 1
    uniform = torch.rand(50, NUM_DRAWS_COLOUR)
    result = change_colour(images, uniform=uniform, p=torch.tensor(1.0))
    v = torch.full((3,), 1 / math.sqrt(3))
    grey, cross = torch.outer(v, v), torch.linalg.cross(v.expand(3, 3), torch.eye(3)).T
    for image, draws, mine in zip(images, uniform.double(), result, strict=True):
        b, c, s = (scipy.stats.norm.ppf(draws[i].item()) for i in (0, 2, 8))
        flip = int(2 * draws[4])
        hue = torch.linalg.matrix_exp(cross * math.pi * (2 * draws[6].item() - 1))
        matrix = (grey + (torch.eye(3) - grey) * 2**s) @ hue @ (torch.eye(3) - 2 * flip * grey)
        expected = matrix * 2 ** (0.5 * c) @ (image + 0.2 * b).flatten(1)
        assert torch.allclose(mine.flatten(1), expected, rtol=1e-3, atol=1e-3)


def test_third_of_a_hue_turn_permutes_the_colours():
    images = torch.randn(1, 3, 4, 4)
    turned = coloured(images, (HUE, [0.5 + 1 / 3]))
    assert torch.allclose(turned, images.roll(1, 1), atol=1e-5)


def test_grey_and_one_channel_images_stay_grey():
    grey, uniform = torch.randn(40, 1, 4, 4), torch.rand(40, NUM_DRAWS_COLOUR)
    one = change_colour(grey, uniform=uniform, p=P)
    three = change_colour(grey.expand(-1, 3, -1, -1), uniform=uniform, p=P)
    assert torch.allclose(three, one.expand(-1, 3, -1, -1), atol=1e-4)
    assert not torch.allclose(one, grey)


@pytest.mark.parametrize(
    ("change", "num_draws"), [(move, NUM_DRAWS_GEOMETRY), (change_colour, NUM_DRAWS_COLOUR)]
)
def test_gradient_passes_through_ada(change, num_draws):
    images = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    uniform = torch.rand(2, num_draws)
    assert torch.autograd.gradcheck(lambda x: change(x, uniform=uniform, p=P), images)
    assert torch.autograd.gradgradcheck(lambda x: change(x, uniform=uniform, p=P) ** 2, images)
