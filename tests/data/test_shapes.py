"""Rendered shapes: pure functions of (seed, number), and pixels that agree with the attributes."""

import math

import pytest
import torch

from limner.data.shapes import KINDS, Shapes
from limner.errors import UserError

GIVEN = {
    "num_train": 200, "num_validation": 30, "num_test": 20, "seed": 3,
    "kinds": list(KINDS), "colours": {"red": "#ff0000", "dark": [0, 0, 40]},
    "min_size": 0.2, "max_size": 0.4, "background": "white",
}  # fmt: skip


def opened(shape=(3, 32, 32), *, with_labels=True, **changes):
    return Shapes(**{**GIVEN, **changes}).open_stores(shape, with_labels=with_labels)


def store(shape=(3, 32, 32), **changes):
    return opened(shape, **changes).stores["train"]


def covered(images: torch.Tensor) -> torch.Tensor:
    """Return the share of each RGBA image that its shape covers."""
    return images[:, 3].float().mean((1, 2)) / 255


def test_shapes_open_three_splits_with_their_sizes_and_classes():
    found = opened()
    assert found.image_shape == [3, 32, 32]
    assert found.classes == list(KINDS)
    assert {name: len(each) for name, each in found.stores.items()} == {
        "train": 200, "validation": 30, "test": 20,
    }  # fmt: skip
    without = opened(with_labels=False)
    assert without.classes == []
    assert without.stores["train"].labels is None


def test_image_depends_only_on_the_seed_and_its_number():
    indices = torch.tensor([7, 150, 7, 0])
    whole = store().gather(torch.arange(200))
    assert whole.dtype == torch.uint8
    assert torch.equal(store().gather(indices), whole[indices])
    assert torch.equal(store(num_train=400).gather(indices), whole[indices])
    assert not torch.equal(store(seed=4).gather(indices), whole[indices])


def test_splits_have_different_images_which_do_not_depend_on_their_sizes():
    stores = opened().stores
    images = torch.cat([stores[name].gather(torch.arange(20)) for name in stores])
    assert len(images.flatten(1).unique(dim=0)) == 60
    more = opened(num_train=10_000).stores["test"]
    assert torch.equal(more.gather(torch.arange(20)), images[40:])
    assert more.fingerprint == stores["test"].fingerprint


def test_fingerprint_changes_with_every_argument_and_only_then():
    base = store().fingerprint
    assert store().fingerprint == base
    changes = [
        {"seed": 4}, {"num_train": 201}, {"kinds": ["circle", "star"]}, {"max_size": 0.41},
        {"min_size": 0.1}, {"background": "black"}, {"colours": {"red": "#ff0000"}},
        {"with_labels": False}, {"shape": (3, 32, 33)}, {"shape": (1, 32, 32)},
    ]  # fmt: skip
    found = {store(**change).fingerprint for change in changes}
    assert len(found | {base}) == len(changes) + 1


def test_label_is_the_kind_and_the_pixels_have_the_colour():
    """The colour of a shape is that of a pixel which the shape covers."""
    images, every = store((4, 48, 48)), torch.arange(200)
    about, pixels = images.attributes(every), images.gather(every)
    assert [list(KINDS)[i] for i in images.labels.tolist()] == about.kind
    assert set(about.kind) == set(KINDS)
    assert set(about.colour) == {"red", "dark"}
    rgb = {"red": [255, 0, 0], "dark": [0, 0, 40]}
    expected = torch.tensor([rgb[name] for name in about.colour])
    plain = store((3, 48, 48)).gather(every)
    for image, alpha, colour in zip(plain, pixels[:, 3], expected, strict=True):
        assert (image[:, alpha == 255] == colour[:, None]).all()
        assert (image[:, alpha == 0] == 255).all()


@pytest.mark.parametrize("shape", [(4, 64, 64), (4, 40, 90), (4, 31, 16)])
def test_shape_lies_at_its_position_within_the_image(shape):
    """The centre of mass of a symmetric shape is its centre; no shape touches the border."""
    images = store(shape, kinds=["circle", "square", "hexagon", "star", "cross", "ring"])
    every = torch.arange(200)
    alpha, about = images.gather(every)[:, 3].float(), images.attributes(every)
    x, y = (torch.arange(size) + 0.5 for size in shape[:0:-1])
    mass = alpha.sum((1, 2))
    centre = torch.stack([(alpha.sum(1) * x).sum(1), (alpha.sum(2) * y).sum(1)], 1) / mass[:, None]
    expected = about.position * torch.tensor([shape[2], shape[1]])
    assert (centre - expected).abs().max() < 0.25
    radius = about.size[:, None] * min(shape[1:])
    assert (expected - radius >= -1e-3).all()
    assert (expected + radius <= torch.tensor([shape[2], shape[1]]) + 1e-3).all()


@pytest.mark.parametrize(
    ("kind", "area"),
    [
        ("circle", math.pi),
        ("ring", math.pi * 0.75),
        ("triangle", 3 * math.sqrt(3) / 4),
        ("square", 2.0),
        ("pentagon", 2.5 * math.sin(2 * math.pi / 5)),
        ("hexagon", 1.5 * math.sqrt(3)),
        ("star", 5 * 0.4 * math.sin(math.pi / 5)),
        ("cross", 4 * 0.6 * 0.95 - 0.36),
    ],
)
def test_smoothed_edges_keep_the_area_of_the_shape(kind, area):
    images = store((4, 96, 96), kinds=[kind])
    expected = images.attributes(torch.arange(60)).size ** 2 * area
    assert torch.allclose(covered(images.gather(torch.arange(60))), expected, rtol=0.02)


def test_image_of_twice_the_resolution_shows_the_same_shape():
    small, large = store((3, 32, 32)), store((3, 64, 64))
    halved = torch.nn.functional.avg_pool2d(large.gather(torch.arange(50)).float(), 2)
    assert (halved - small.gather(torch.arange(50))).abs().mean() < 1


def test_angle_turns_the_shape_clockwise():
    """A corner of a star is at the angle, counted from the top."""
    images = store((4, 96, 96), kinds=["star"], min_size=0.4)
    about, alpha = images.attributes(torch.arange(40)), images.gather(torch.arange(40))[:, 3]
    for turns, inside in ((0, True), (36, False)):
        angle = torch.deg2rad(about.angle + turns)
        away = 0.75 * about.size * 96
        x = (about.position[:, 0] * 96 + away * torch.sin(angle)).floor().long()
        y = (about.position[:, 1] * 96 - away * torch.cos(angle)).floor().long()
        values = alpha[torch.arange(40), y, x]
        assert ((values > 100) == inside).all()


def test_attributes_are_uniform():
    about = store(num_train=20_000).attributes(torch.arange(20_000))
    assert about.size.min() >= 0.2
    assert about.size.max() <= 0.4
    assert about.size.mean().item() == pytest.approx(0.3, abs=0.002)
    assert about.size.var().item() == pytest.approx(0.2**2 / 12, rel=0.03)
    assert about.angle.mean().item() == pytest.approx(180, abs=2)
    assert about.position.mean(0).tolist() == pytest.approx([0.5, 0.5], abs=0.005)
    counts = [about.kind.count(kind) for kind in KINDS]
    assert max(counts) < 1.1 * min(counts)


def test_grey_images_have_the_luma_of_the_colours():
    grey, colour = (store((c, 24, 24)).gather(torch.arange(50)).float() for c in (1, 3))
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    assert (grey - (colour * weights).sum(1, keepdim=True)).abs().max() < 1.01


def test_store_on_another_device_shows_the_same_images():
    """On a device other than the CPU, every kind is rendered, and one is selected."""
    near = store().to(torch.device("meta"))
    assert near.labels.device.type == "meta"
    assert near.gather(torch.arange(5)).shape == (5, 3, 32, 32)
    assert store().device.type == "cpu"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kinds": ["circle", "sqare"]}, "data.source.kinds=.*must be different names"),
        ({"kinds": []}, "data.source.kinds="),
        ({"kinds": ["star", "star"]}, "data.source.kinds="),
        ({"colours": {}}, "data.source.colours is empty"),
        ({"colours": {"red": "rot"}}, "data.source.colours.red=rot: must be a colour"),
        ({"min_size": 0.5, "max_size": 0.4}, "data.source.min_size=0.5 and data.source.max_size"),
        ({"num_train": 0}, "data.source.num_train=0: must be 1 or more"),
        ({"num_test": -1}, "data.source.num_test=-1: must be 0 or more"),
        ({"background": "nowhere"}, "data.background=nowhere"),
        ({"shape": None}, "data.image_shape=None"),
        ({"shape": (2, 8, 8)}, "data.image_shape=.2, 8, 8.: shapes are rendered with 1"),
    ],
)
def test_shapes_refuse_what_they_cannot_draw(changes, message):
    with pytest.raises(UserError, match=message):
        opened(**changes)
