import pytest
import torch

from limner.augmentations.degradations import Holes
from support.draws import OwnDraws, pictures

SIZES = {"box_size": [0.1, 0.4], "stroke_length": [0.4, 1.0], "stroke_width": [0.05, 0.1]}


def holes(**changes):
    return Holes(**({"num_boxes": [0, 3], "num_strokes": [0, 4]} | SIZES | changes))


def test_holes_are_0_where_the_mask_is_0_and_untouched_where_it_is_1():
    images = pictures(20) + 3  # no value is 0
    found = holes()(images, draws=OwnDraws())
    assert set(found.mask.unique().tolist()) == {0.0, 1.0}
    is_known = found.mask.bool().expand_as(images)
    assert torch.equal(found.input[is_known], images[is_known])
    assert (found.input[~is_known] == 0).all()


def test_holes_differ_between_images():
    masks = holes(num_boxes=1, num_strokes=1)(pictures(8), draws=OwnDraws()).mask
    assert len({tuple(mask.flatten().tolist()) for mask in masks}) == 8


def test_no_holes_change_nothing():
    images = pictures()
    found = holes(num_boxes=0, num_strokes=0)(images, draws=OwnDraws())
    assert torch.equal(found.input, images)
    assert (found.mask == 1).all()


def test_box_is_a_rectangle_with_the_drawn_sides():
    found = holes(num_boxes=1, num_strokes=0, box_size=0.25)
    mask = found(torch.ones(300, 1, 40, 60), draws=OwnDraws()).mask[:, 0]
    rows, columns = (mask == 0).any(2), (mask == 0).any(1)
    assert torch.equal(mask == 0, rows[:, :, None] & columns[:, None, :])
    assert rows.sum(1).max() == columns.sum(1).max() == 10  # a quarter of the shorter side
    assert rows.sum(1).min() < 10  # partly outside


def test_boxes_lie_everywhere_equally_often():
    found = holes(num_boxes=1, num_strokes=0, box_size=0.3)
    mask = found(torch.ones(2000, 1, 10, 20), draws=OwnDraws()).mask[:, 0]
    share = (mask == 0).float().mean(0)
    inner = share[2:-2, 2:-2]
    assert (inner - 9 / 200).abs().max() < 0.02
    assert share.min() > 0.005


def test_stroke_has_the_length_and_width_that_it_draws():
    found = holes(num_boxes=0, num_strokes=1, stroke_length=0.5, stroke_width=0.05)
    area = (found(torch.ones(200, 1, 200, 200), draws=OwnDraws()).mask == 0).sum((1, 2, 3))
    assert area.max().item() == pytest.approx(100 * 10 + 3.14 * 25, rel=0.05)
    assert area.float().median() > 500


def test_number_of_strokes_is_drawn_for_each_image():
    area = (holes(num_boxes=0)(pictures(50), draws=OwnDraws()).mask == 0).sum((1, 2, 3))
    assert (area == 0).any()
    assert (area > 0).any()
    more = (holes(num_boxes=0, num_strokes=4)(pictures(50), draws=OwnDraws()).mask == 0).sum()
    assert more > area.sum()


def test_holes_keep_the_range_of_numbers_in_their_protocol():
    assert (
        holes().protocol() == {"kind": "holes", "num_boxes": [0, 3], "num_strokes": [0, 4]} | SIZES
    )
