"""Photos need data.image_shape; pictures that were made for training do not."""

import pytest
from PIL import Image

from limner.data.large_pictures import refuse_photos
from limner.data.sources import ImageFolder
from limner.errors import UserError


@pytest.fixture
def pictures(tmp_path):
    def make(*sizes):
        for i, size in enumerate(sizes):
            Image.new("RGB", size).save(tmp_path / f"{i}.png")
        return ImageFolder(path=str(tmp_path)).pictures()["train"]

    return make


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        ([(513, 20)], "the first image has 513x20 pixels"),
        ([(20, 600), (20, 600)], "the first image has 20x600 pixels"),
        ([(480, 320), (480, 320), (320, 480)], "images have 480x320 and 320x480 pixels"),
    ],
)
def test_refuse_photos_asks_for_a_shape(pictures, sizes, found):
    with pytest.raises(UserError, match=found) as refused:
        refuse_photos(pictures(*sizes), [3, *reversed(sizes[0])])
    assert "data.image_shape=[3,64,64]" in str(refused.value)


@pytest.mark.parametrize("sizes", [[(128, 9), (8, 8)], [(512, 512)] * 3, [(129, 256)] * 2])
def test_refuse_photos_accepts_small_pictures_and_photos_of_one_size(pictures, sizes):
    refuse_photos(pictures(*sizes), [3, *reversed(sizes[0])])
