"""The options standard and strong as a whole, on uint8 images and on pictures of one sample."""

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from limner.augmentations.geometry import Flips, QuarterTurns, Rotation, Shift
from limner.augmentations.pictures import PictureAugmentation
from limner.augmentations.random_columns import RandomColumns
from limner.augmentations.values import Blur, Colour, Cutout
from limner.config.schema import CONFIG_DIR

OPTIONS = ["standard", "strong"]
ON = {
    "quarter_turns": 1.0,
    "crop": 0.5,
    "affine": 0.5,
    "perspective": 0.5,
    "blur": 0.5,
    "cutout": 0.5,
}
"""Probabilities of parts, so that every part takes part in a test."""


def option(name: str, **probabilities: float) -> PictureAugmentation:
    config = OmegaConf.load(CONFIG_DIR / "data" / "augmentation" / f"{name}.yaml")
    for part, probability in probabilities.items():
        config.parts[part].probability = probability
    return instantiate(config, _convert_="all")


def made(interpolation="bilinear", **parts) -> PictureAugmentation:
    return PictureAugmentation(interpolation=interpolation, parts=parts)


def noise(num: int, channels: int, height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (num, channels, height, width), dtype=torch.uint8)


def smooth(num: int, height: int, width: int) -> torch.Tensor:
    small = torch.rand(num, 3, 5, 5) * 255
    size = (height, width)
    return torch.nn.functional.interpolate(small, size, mode="bicubic").clamp(0, 255).byte()


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (4, 9, 14), (2, 16, 12)])
def test_option_returns_other_bytes_of_the_same_shape(name, shape):
    images = noise(16, *shape)
    before = images.clone()
    augmentation = option(name, **ON)
    found = augmentation(images, uniform=torch.rand(16, augmentation.num_draws))
    assert (found.dtype, found.shape) == (torch.uint8, images.shape)
    assert torch.equal(images, before), "the given images do not change"
    assert ((found != images).flatten(1).any(1)).all()


@pytest.mark.parametrize("name", OPTIONS)
def test_option_depends_only_on_the_image_and_its_own_numbers(name):
    augmentation = option(name, **ON)
    images, uniform = noise(16, 3, 24, 24), torch.rand(16, augmentation.num_draws)
    whole = augmentation(images, uniform=uniform)
    for size in (1, 5):
        parts = zip(images.split(size), uniform.split(size), strict=True)
        found = torch.cat([augmentation(part, uniform=own) for part, own in parts])
        assert torch.equal(found, whole)


@pytest.mark.parametrize("name", OPTIONS)
def test_option_without_probabilities_keeps_every_pixel(name):
    augmentation = option(name)
    parts = augmentation.parts
    zeros = dict.fromkeys(set(parts) - {"flips"}, 0.0)
    augmentation = option(name, **zeros)
    augmentation.parts["flips"] = Flips(horizontal=0, vertical=0)
    images = noise(8, 3, 17, 20)
    assert torch.equal(augmentation(images, uniform=torch.rand(8, augmentation.num_draws)), images)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_images_that_are_not_moved_keep_every_pixel_when_others_are_moved(interpolation):
    augmentation = made(
        interpolation,
        rotation=Rotation(probability=0.5, max_degrees=40),
        colour=Colour(probability=0.0, brightness=1, contrast=0, saturation=0, hue=0),
        cutout=Cutout(probability=0.5, fraction=0.5),
    )
    images, uniform = noise(6, 3, 30, 21), torch.full((6, augmentation.num_draws), 0.2)
    uniform[:3, [1, -1]] = 0.9
    found = augmentation(images, uniform=uniform)
    assert torch.equal(found[:3], images[:3])
    assert (found[3:] != images[3:]).flatten(1).any(1).all()


def test_geometric_parts_are_applied_in_order_by_a_single_lookup():
    """Two rotations by 45 degrees are one by 90 degrees, so no pixel is interpolated twice."""
    images = noise(3, 3, 16, 16)
    half = Rotation(probability=1, max_degrees=45)
    found = made(first=half, second=half)(images, uniform=torch.zeros(3, 4))
    assert torch.equal(found, images.rot90(1, [2, 3]))
    shift, turn = Shift(probability=1, max_fraction=0.25), QuarterTurns(probability=1)
    uniform = torch.tensor([0.999999, 0.5, 0.0, 0.3, 0.0]).expand(3, -1)
    one = made(shift=shift)(images, uniform=uniform[:, :3])
    expected = made(turn=turn)(one, uniform=uniform[:, 3:])
    assert torch.equal(made(shift=shift, turn=turn)(images, uniform=uniform), expected)
    uniform = uniform[:, [3, 4, 0, 1, 2]]
    assert not torch.equal(made(turn=turn, shift=shift)(images, uniform=uniform), expected)


@pytest.mark.parametrize("name", OPTIONS)
def test_pictures_of_one_sample_have_the_same_draw(name):
    augmentation = option(name, **ON)
    first, second = noise(8, 3, 20, 20), noise(8, 3, 20, 20)
    uniform = torch.rand(8, augmentation.num_draws)
    pair = augmentation.apply_all([first, second], uniform=uniform, colours=[True, True])
    for picture, found in zip((first, second), pair, strict=True):
        assert torch.equal(found, augmentation(picture, uniform=uniform))


def test_pictures_of_one_sample_are_moved_alike_whatever_their_size():
    """A picture and its enlargement stay each other's enlargement, up to interpolation."""
    augmentation = option("strong", crop=1.0, affine=1.0, perspective=1.0)
    for part in ("colour", "blur", "cutout"):
        augmentation.parts[part].is_off = True
    large = smooth(8, 120, 180)
    small = torch.nn.functional.avg_pool2d(large.float(), 3).round().byte()
    uniform = torch.rand(8, augmentation.num_draws)
    for order in (slice(None), slice(None, None, -1)):
        pictures = augmentation.apply_all(
            [large, small][order], uniform=uniform, colours=[True] * 2
        )
        moved, moved_small = pictures[order]
        expected = torch.nn.functional.avg_pool2d(moved.float(), 3)
        assert (moved_small.float() - expected).abs().mean() < 1.5
        unmoved = torch.nn.functional.avg_pool2d(large.float(), 3)
        assert (moved_small.float() - unmoved).abs().mean() > 10


def test_pictures_of_one_sample_are_moved_by_whole_pixels_alike():
    augmentation = made(
        flips=Flips(horizontal=0.5, vertical=0.5), turn=QuarterTurns(probability=1),
        shift=Shift(probability=1, max_fraction=0.3),
    )  # fmt: skip
    small = noise(20, 1, 10, 10)
    large = small.repeat_interleave(4, 2).repeat_interleave(4, 3)
    uniform = torch.rand(20, augmentation.num_draws)
    found = augmentation.apply_all([large, small], uniform=uniform, colours=[True, True])
    assert torch.equal(found[0], found[1].repeat_interleave(4, 2).repeat_interleave(4, 3))


def test_colours_change_only_where_they_may():
    augmentation = made(
        flips=Flips(horizontal=1, vertical=0),
        colour=Colour(probability=1, brightness=0.5, contrast=0.2, saturation=0, hue=0),
        blur=Blur(probability=1, max_sigma=0.1), cutout=Cutout(probability=1, fraction=0.5),
    )  # fmt: skip
    images, uniform = noise(9, 3, 12, 12), torch.rand(9, augmentation.num_draws)
    may, may_not = augmentation.apply_all([images] * 2, uniform=uniform, colours=[True, False])
    assert torch.equal(may_not, images.flip(3))
    assert (may != may_not).flatten(1).any(1).all()


def test_pictures_of_one_sample_are_refused_if_their_sizes_differ_by_no_whole_factor():
    for other in ((15, 10), (20, 10), (25, 25)):
        with pytest.raises(ValueError, match="differ by a whole factor"):
            made().apply_all(
                [noise(1, 3, *other), noise(1, 3, 10, 10)],
                uniform=torch.rand(1, 0), colours=[True, True],
            )  # fmt: skip


def test_a_part_that_is_switched_off_leaves_the_draws_of_the_others():
    images, uniform = noise(8, 3, 16, 16), torch.rand(8, option("standard").num_draws)
    assert option("standard", colour=0.0).num_draws == uniform.shape[1]
    without = option("standard", colour=0.0)(images, uniform=uniform)
    again = option("standard", colour=0.0, cutout=1.0)(images, uniform=uniform)
    assert ((without == again).float().mean((1, 2, 3)) > 0.5).all()


def test_bicubic_lookup_keeps_more_detail_than_bilinear_lookup():
    images, uniform = smooth(8, 24, 24), torch.rand(8, 2)
    part = Rotation(probability=1, max_degrees=30)
    there = {}
    for interpolation in ("bilinear", "bicubic"):
        augmentation = made(interpolation, rotation=part)
        back = augmentation(augmentation(images, uniform=uniform), uniform=1 - uniform * 0.999999)
        inner = (slice(None), slice(None), slice(7, -7), slice(7, -7))
        there[interpolation] = (back.float() - images.float())[inner].abs().mean()
    assert there["bicubic"] < 0.6 * there["bilinear"]


def test_a_part_without_its_method_is_refused_by_its_name():
    with pytest.raises(ValueError, match="mine: RandomColumns has no method inverse"):
        made(mine=RandomColumns(torch.rand(1, 1)))
    with pytest.raises(ValueError, match="interpolation=nearest: must be bilinear or bicubic"):
        made("nearest")
