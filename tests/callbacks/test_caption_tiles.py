"""Grids of images with texts are legible: each text is wrapped below its image."""

import pytest
import torch
from PIL import ImageChops

from limner.callbacks.caption_tiles import caption_grid, with_row_texts
from limner.callbacks.pictures import grid

IMAGES = torch.zeros(5, 3, 8, 8)


def grid_of(texts, **changes):
    return caption_grid(IMAGES, texts, **({"columns": 2, "title": "Captions"} | changes))


def test_caption_grid_has_a_cell_for_each_image_and_room_for_the_longest_text():
    short = grid_of(["one"] * 5)
    tall = grid_of(["one"] * 4 + ["a text of many words that needs several lines below an image"])
    assert tall.width == short.width
    assert tall.height > short.height
    assert grid_of(["one"] * 5, columns=3).width > short.width


def test_caption_grid_shows_each_text():
    first, second = grid_of(["one"] * 5), grid_of(["one"] * 4 + ["two"])
    box = ImageChops.difference(first, second).getbbox()
    assert box is not None
    assert box[1] > first.height * 2 // 3  # the last row


def test_caption_grid_cuts_a_text_that_is_far_too_long():
    assert grid_of(["one"] * 4 + ["word " * 500]).height == grid_of(
        ["one"] * 4 + ["word " * 1000]
    ).height  # fmt: skip


@pytest.mark.parametrize("text", ["", "\x1b[31mred", "🍆 aubergine", "ein Wort" * 30])
def test_caption_grid_draws_any_text(text):
    assert grid_of([text] * 5).width == grid_of(["one"] * 5).width


def test_caption_grid_shows_real_images_beside_drawn_ones():
    alone = grid_of(["one"] * 5, columns=1)
    beside = grid_of(["one"] * 5, columns=1, beside=torch.ones(5, 3, 8, 8))
    assert alone != beside
    assert (255, 255, 255) in {color for _, color in beside.getcolors(100_000)}


def test_row_texts_stand_beside_the_rows():
    images = grid(torch.zeros(6, 3, 64, 64), columns=3)
    picture = with_row_texts(images, ["a circle that is red", "ab ba"], title="S")
    assert picture.width > images.width
    other = with_row_texts(images, ["a circle that is red", "ba ab"], title="S")
    box = ImageChops.difference(picture, other).getbbox()
    assert box[2] < 160
    assert box[1] > picture.height // 2
