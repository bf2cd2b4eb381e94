"""Titles and labels around a grid of images."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops

from limner.callbacks.picture_labels import with_labels
from limner.callbacks.pictures import grid
from limner.files.pictures import grid_box


def drawn_rows(picture: Image.Image) -> np.ndarray:
    """Return which rows of pixels left of the grid contain text."""
    left, top, _, _ = grid_box(picture)
    margin = np.asarray(picture.crop((0, top, left, picture.height)).convert("L"))
    return (margin < 128).any(1)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("count", [1, 6])
def test_with_labels_leaves_the_grid_as_it_is(channels, count):
    images = torch.rand(count, channels, 28, 28) * 2 - 1
    bare = grid(images, columns=2)
    num = max(1, count // 2)
    picture = with_labels(
        bare, title="Samples", about="Each row.", rows=["a"] * num, columns=["1", "2"]
    )
    assert picture.mode == bare.mode
    assert np.array_equal(np.asarray(picture.crop(grid_box(picture))), np.asarray(bare))


@pytest.mark.parametrize("count", [1, 2, 10])
def test_with_labels_draws_each_row_label_beside_its_row(count):
    bare = grid(torch.zeros(count * 2, 1, 8, 8), columns=2)
    texts = ["7"] * count
    rows = drawn_rows(with_labels(bare, title="Samples", rows=texts))
    for number in range(count):
        part = np.flatnonzero(rows[2 + number * 66 : 66 + number * 66])
        assert len(part) >= 10, "readable"
        assert abs((part.min() + part.max()) / 2 - 32) < 4, "in the middle of the row"
    rows = drawn_rows(with_labels(bare, title="Samples", rows=["", *texts[1:]]))
    assert not rows[2:66].any(), "a label is drawn at a row without one"


def test_with_labels_draws_column_labels_above_their_columns():
    bare = grid(torch.zeros(4, 1, 8, 8), columns=4)
    both = [with_labels(bare, title="T", columns=["1", "2", x, "4"]) for x in ("3", "")]
    left, top, right, bottom = ImageChops.difference(*(p.convert("RGB") for p in both)).getbbox()
    start = grid_box(both[0])[0] + 2 + 2 * 66
    assert start < left < right < start + 64
    assert bottom <= grid_box(both[0])[1]
    assert bottom - top >= 10


def test_with_labels_gives_pictures_of_all_updates_one_size():
    for count in (1, 64):
        bare = grid(torch.zeros(count, 1, 8, 8), columns=8)
        sizes = {
            with_labels(bare, title=f"Reconstructions, update {n:,}", rows=["a"]).size
            for n in (1, 1000, 10**8)
        }
        assert len(sizes) == 1


def test_with_labels_enlarges_its_text_for_a_large_grid():
    small, large = (Image.new("RGB", (side, side)) for side in (264, 4000))
    heights = [grid_box(with_labels(bare, title="Samples"))[1] for bare in (small, large)]
    assert heights[1] > 3 * heights[0]


def test_with_labels_wraps_long_texts_and_cuts_long_labels():
    bare = grid(torch.zeros(1, 1, 8, 8), columns=1)
    long = with_labels(bare, title="T", about="a word " * 60, rows=["n" * 500])
    assert long.width < 400
    assert grid_box(long)[1] > 100


def test_with_labels_escapes_control_characters():
    bare = grid(torch.zeros(1, 1, 8, 8), columns=1)
    with_labels(bare, title="a\nb", about="c\x1b[31m", rows=["d\ne"], columns=["f\ng"])
