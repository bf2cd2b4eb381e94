"""Strips of both directions of a CycleGAN, with the worst and the best of each domain."""

import pytest
import torch

from limner.callbacks.cycle_strips import CycleGallery
from limner.callbacks.strip_tiles import TILE
from limner.files.pictures import grid_box
from limner.pixels import to_float
from support.two_domains import images


def batch_of(error_a, error_b, *, seed=0, size=(32, 48), **more):
    """Return outputs whose cycles differ by these errors from the pictures, and their batch."""
    a, b = (0.5 * images(1, size=size, seed=seed + n) for n in (0, 50))
    outputs = {"output_b": 0.5 * a, "output_a": -0.5 * b, "cycle_a": a + error_a,
               "cycle_b": b - error_b}  # fmt: skip
    return outputs, {"image_a": a, "image_b": b, **more}


def gallery(*errors, num_images=2, **more):
    found = CycleGallery(num_images)
    for number, pair in enumerate(errors):
        found.add(*batch_of(*pair, seed=number, **more))
    return found


def small(tile):
    """Return the pixels of a tile of a 32x48 picture, which is enlarged 5 times."""
    return to_float(tile[:, :160:5, :240:5])


def test_strip_shows_a_picture_its_translation_and_the_way_back():
    found = gallery((0.1, 0.2))
    outputs, batch = batch_of(0.1, 0.2)
    expected = {
        "A 1": (batch["image_a"], outputs["output_b"], outputs["cycle_a"]),
        "B 1": (batch["image_b"], outputs["output_a"], outputs["cycle_b"]),
    }
    assert found.first.keys() == expected.keys()
    for name, shown in expected.items():
        tiles = found.first[name].tiles
        assert tiles.shape == (3, 3, TILE, TILE)
        for tile, picture in zip(tiles, shown, strict=True):
            torch.testing.assert_close(small(tile), picture[0], atol=0.01, rtol=0)


def test_strip_shows_the_partner_of_a_hidden_pair():
    outputs, batch = batch_of(0.1, 0.2, is_pair=True)
    found = CycleGallery(1)
    found.add(outputs, batch)
    for name, partner in (("A 1", "image_b"), ("B 1", "image_a")):
        tile = found.first[name].tiles[3]
        torch.testing.assert_close(small(tile), batch[partner][0], atol=0.01, rtol=0)
    picture = found.picture(found.first, title="title")
    left, top, right, bottom = grid_box(picture)
    assert (right - left, bottom - top) == (4 * 258 + 2, 2 * 258 + 2)


def test_gallery_finds_the_worst_and_the_best_of_each_domain_by_the_cycle_error():
    found = gallery((0.1, 0.02), (0.3, 0.2), (0.02, 0.1), num_images=1)
    errors = {name: strip.error / 127.5 for name, strip in found.extremes.items()}
    due = {"worst of A": 0.3, "best of A": 0.02, "worst of B": 0.2, "best of B": 0.02}
    assert errors == pytest.approx(due, abs=1e-5)
    assert len(found.first) == 2, "one of each domain"
    other = gallery((0.4, 0.15))
    other.take_extremes([found.extremes, other.extremes, {}])
    assert other.extremes["worst of A"].error == pytest.approx(0.4 * 127.5, abs=1e-3)
    assert other.extremes["worst of B"] is found.extremes["worst of B"]


def test_repeated_pictures_of_weight_0_are_not_shown():
    found = gallery((0.1, 0.2), weight_a=torch.zeros(1), weight_b=torch.ones(1))
    assert found.first.keys() == {"B 1"}
    assert found.extremes.keys() == {"worst of B", "best of B"}
