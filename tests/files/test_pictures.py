"""The record of the grid in a picture, which may come from a stranger."""

import pytest
from PIL import Image

from limner.files.pictures import GRID, grid_box
from limner.files.plain import NotPlainError


def test_grid_box_is_the_record_or_the_whole_picture():
    picture = Image.new("L", (9, 5))
    assert grid_box(picture) == (0, 0, 9, 5)
    picture.info[GRID] = "1,2,9,5"
    assert grid_box(picture) == (1, 2, 9, 5)


@pytest.mark.parametrize(
    "record", ["", "1,2,3", "a,b,c,d", "0,0,10,5", "0,0,9,6", "5,0,5,5", "-1,0,9,5", b"\xff", 7]
)
def test_grid_box_refuses_a_box_outside_of_the_picture(record):
    picture = Image.new("L", (9, 5))
    picture.info[GRID] = record
    with pytest.raises(NotPlainError, match="damaged record of its grid"):
        grid_box(picture)
