import numpy as np
import pytest
from PIL import Image

from limner.data.backgrounds import WHITE
from limner.data.decode import fits, read_picture, to_array
from limner.data.sources import Pictures
from limner.errors import UserError


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK", "I;16", "LA"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_mode_and_size_becomes_the_shape_asked_for(mode, channels):
    picture = Image.new(mode, (13, 29))
    array = to_array(picture, [channels, 8, 12], background=WHITE)
    assert array.shape == (channels, 8, 12)
    assert array.dtype == np.uint8


def test_a_picture_that_fits_is_not_touched():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    assert fits(picture, [3, 5, 7])
    assert (to_array(picture, [3, 5, 7], background=WHITE) == pixels.transpose(2, 0, 1)).all()


def test_the_centre_is_cut_and_proportions_stay():
    """A wide picture of three vertical bands leaves the middle one."""
    pixels = np.zeros((10, 30), np.uint8)
    pixels[:, 10:20] = 200
    assert (to_array(Image.fromarray(pixels), [1, 10, 10], background=WHITE) == 200).all()


def test_sixteen_bits_are_scaled_not_clipped():
    picture = Image.fromarray(np.full((4, 4), 128 << 8, np.uint16))
    assert (to_array(picture, [1, 4, 4], background=WHITE) == 128).all()


def test_orientation_of_cameras_is_respected(tmp_path):
    pixels = np.zeros((8, 8), np.uint8)
    pixels[0] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    array = to_array(Image.open(tmp_path / "a.png"), [1, 8, 8], background=WHITE)[0]
    assert (array[-1] == 255).all()
    assert (array[0] == 0).all()


def test_read_picture_names_the_file_without_its_control_characters():
    def read(i: int) -> None:
        raise OSError("truncated")

    pictures = Pictures(
        names=["a\x1b[31m\n.png"], read=read, labels=None, classes=[], fingerprint=0, sizes=0
    )
    with pytest.raises(UserError) as refusal:
        read_picture(pictures, 0)
    assert str(refusal.value).startswith(r"The image a\x1b[31m\x0a.png cannot be read")
