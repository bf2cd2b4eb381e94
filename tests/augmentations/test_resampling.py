import math

import pytest
import torch
from torch.nn.functional import avg_pool2d

from limner.augmentations.resampling import KERNELS, matlab_resize, round_to_8_bits
from limner.pixels import to_float, to_uint8


def slow_kernel(name: str, x: float) -> float:
    if name == "box":
        return float(-0.5 <= x < 0.5)
    x, sinc = abs(x), lambda t: math.sin(math.pi * t) / (math.pi * t) if t else 1.0
    if name == "linear":
        return max(1 - x, 0.0)
    if name == "lanczos3":
        return sinc(x) * sinc(x / 3) if x < 3 else 0.0
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def slow_line(line: list[float], after: int, scale: float, name: str, antialias: bool) -> list:
    """Resize a line as the help of imresize describes it, pixel by pixel."""
    stretch = scale if antialias and scale < 1 else 1.0
    before, result = len(line), []
    for i in range(after):
        centre, total, weights = (i + 0.5) / scale - 0.5, 0.0, 0.0
        for j in range(math.floor(centre - 4 / stretch), math.ceil(centre + 4 / stretch) + 1):
            weight = slow_kernel(name, stretch * (centre - j))
            total += weight * line[min(max(j, 0), before - 1)]
            weights += weight
        result.append(total / weights)
    return result


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("factor", [1 / 4, 1 / 3, 0.37, 1.0, 2.0, 3.6])
def test_matlab_resize_equals_a_slow_reference(name, antialias, factor):
    images = torch.rand(2, 1, 13, 10, dtype=torch.float64)
    found = matlab_resize(images, factor=factor, kernel=name, antialias=antialias)
    height, width = math.ceil(13 * factor), math.ceil(10 * factor)
    rows = torch.tensor(
        [
            [slow_line(line.tolist(), width, factor, name, antialias) for line in image[0]]
            for image in images
        ]
    )
    expected = torch.tensor(
        [
            [slow_line(line.tolist(), height, factor, name, antialias) for line in image.T]
            for image in rows
        ]
    ).transpose(1, 2)
    assert found.shape == (2, 1, height, width)
    assert torch.allclose(found[:, 0], expected.double(), atol=1e-6)


def test_matlab_resize_of_a_step_has_the_known_values_of_imresize():
    """k(0.75) + k(1.25) + k(1.75) = 34/256 and k(1.75) = -6/256, and weights are halved."""
    step = torch.tensor([0.0, 0, 0, 0, 1, 1, 1, 1]).view(1, 1, 1, 8)
    found = matlab_resize(step, size=(1, 4)).flatten() * 256
    assert torch.allclose(found, torch.tensor([-3.0, 17, 239, 259]), atol=1e-3)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("factor", [1 / 4, 1 / 3, 0.6, 3.0])
def test_matlab_resize_keeps_constants(name, factor):
    images = torch.full((1, 3, 9, 14), 0.7)
    assert torch.allclose(matlab_resize(images, factor=factor, kernel=name), images[0, 0, 0, 0])


@pytest.mark.parametrize("name", [name for name in KERNELS if name != "box"])
@pytest.mark.parametrize("factor", [1 / 4, 0.75, 3.0])
def test_matlab_resize_of_a_mirror_image_is_the_mirror_image(name, factor):
    """The box is left out: its interval contains only its left end."""
    images = torch.rand(2, 3, 12, 20)
    there = matlab_resize(images.flip(2, 3), factor=factor, kernel=name)
    back = matlab_resize(images, factor=factor, kernel=name).flip(2, 3)
    assert torch.allclose(there, back, atol=1e-5)


@pytest.mark.parametrize("name", KERNELS)
def test_matlab_resize_by_1_changes_nothing(name):
    images = torch.rand(2, 3, 7, 9)
    assert torch.allclose(matlab_resize(images, factor=1, kernel=name), images, atol=1e-6)


def test_matlab_resize_by_box_takes_means_of_blocks():
    images = torch.rand(2, 3, 8, 12)
    found = matlab_resize(images, factor=1 / 4, kernel="box")
    assert torch.allclose(found, avg_pool2d(images, 4), atol=1e-6)


@pytest.mark.parametrize("kernel", ["linear", "cubic"])
def test_matlab_resize_keeps_a_line_away_from_the_border(kernel):
    """Pixels are areas: pixel i of the small picture has its centre at (i + 1/2) 3 - 1/2."""
    line = torch.arange(60.0).expand(1, 1, 3, 60)
    found = matlab_resize(line, factor=1 / 3, kernel=kernel)[0, 0, 0]
    assert torch.allclose(found[3:-3], torch.arange(3.0, 17) * 3 + 1, atol=1e-4)


def test_matlab_resize_gives_whole_sizes_when_a_third_is_no_binary_number():
    for size in range(3, 600, 3):
        assert matlab_resize(torch.zeros(1, 1, size, 1), factor=1 / 3).shape[2] == size // 3


def test_matlab_resize_gives_results_of_any_size_and_of_pictures_smaller_than_the_kernel():
    images = torch.rand(1, 2, 3, 2)
    assert matlab_resize(images, factor=1 / 8).shape == (1, 2, 1, 1)
    assert matlab_resize(images, size=(5, 1)).shape == (1, 2, 5, 1)


def test_matlab_resize_of_an_image_does_not_depend_on_the_others():
    images = torch.rand(5, 3, 16, 12)
    whole = matlab_resize(images, factor=1 / 4)
    alone = torch.cat([matlab_resize(image[None], factor=1 / 4) for image in images])
    assert torch.allclose(whole, alone, atol=1e-6)


def test_matlab_resize_of_large_matrices_equals_small_ones(monkeypatch):
    images = torch.rand(1, 1, 24, 20)
    kept = matlab_resize(images, factor=1 / 2)
    monkeypatch.setattr("limner.augmentations.resampling.LARGEST_CACHED", 0)
    assert torch.equal(matlab_resize(images, factor=1 / 2), kept)


def test_matlab_resize_keeps_all_digits_when_networks_use_half_precision():
    images = torch.rand(1, 3, 16, 16)
    expected = matlab_resize(images, factor=1 / 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(matlab_resize(images, factor=1 / 4), expected)


@pytest.mark.parametrize("sizes", [{}, {"factor": 2, "size": (4, 4)}])
def test_matlab_resize_takes_either_a_factor_or_a_size(sizes):
    with pytest.raises(ValueError, match="either a factor or a size"):
        matlab_resize(torch.zeros(1, 1, 2, 2), **sizes)


def slow_file(image: list[list[int]], after: tuple[int, int], scale: float) -> list[list[int]]:
    """Resize a picture of whole levels: its columns, then its rows, each time to whole levels."""
    for size in after:
        turned = [list(line) for line in zip(*image, strict=True)]
        lines = [slow_line(line, size, scale, "cubic", True) for line in turned]
        image = [[min(max(math.floor(x + 0.5), 0), 255) for x in line] for line in lines]
    return image


@pytest.mark.parametrize(
    ("factor", "size"), [(1 / 4, (6, 8)), (1 / 2, (12, 16)), (4.0, (96, 128))]
)
def test_matlab_resize_of_files_rounds_after_each_axis(factor, size):
    """Large contrasts overshoot between the axes, and many sums are exact halves."""
    levels = torch.randint(2, (1, 1, 24, 32)) * 200 + torch.randint(56, (1, 1, 24, 32))
    images = to_float(levels.byte())
    found = matlab_resize(images, factor=factor, quantise=True)
    expected = torch.tensor(slow_file(levels[0, 0].tolist(), size, factor))
    assert torch.equal(found[0, 0], to_float(expected.byte()))
    at_once = round_to_8_bits(matlab_resize(images, factor=factor))
    assert not torch.equal(found, at_once)


def test_matlab_resize_of_files_rounds_images_at_first():
    images = torch.rand(2, 3, 8, 8) * 3 - 1.5
    files = to_float(to_uint8(images))
    found = matlab_resize(images, factor=1 / 2, quantise=True)
    assert torch.equal(found, matlab_resize(files, factor=1 / 2, quantise=True))


def test_round_to_8_bits_gives_the_values_that_a_file_gives():
    images = torch.randn(2, 3, 20, 20)
    assert torch.equal(round_to_8_bits(images), to_float(to_uint8(images)))
    assert round_to_8_bits(torch.tensor([1.5, -3.0])).tolist() == [1, -1]
