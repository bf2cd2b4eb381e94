import numpy as np
import pytest
from PIL import Image

from limner.data.backgrounds import WHITE
from limner.data.decode import CorruptPicture, decode, fits, read_picture, shape_of, to_array
from limner.data.sources import Pictures
from limner.errors import UserError
from limner.files.pictures import load_picture


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK", "I;16", "LA"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_decode_returns_the_requested_shape_for_any_mode_and_size(mode, channels):
    picture = Image.new(mode, (13, 29))
    array = to_array(picture, [channels, 8, 12], background=WHITE)
    assert array.shape == (channels, 8, 12)
    assert array.dtype == np.uint8


def test_decode_keeps_a_picture_that_fits():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    assert fits(picture, [3, 5, 7])
    assert (to_array(picture, [3, 5, 7], background=WHITE) == pixels.transpose(2, 0, 1)).all()


def test_decode_cuts_the_centre_and_keeps_proportions():
    """Only the middle band of a wide picture with three vertical bands remains."""
    pixels = np.zeros((10, 30), np.uint8)
    pixels[:, 10:20] = 200
    assert (to_array(Image.fromarray(pixels), [1, 10, 10], background=WHITE) == 200).all()


def test_decode_scales_sixteen_bits_without_clipping():
    picture = Image.fromarray(np.full((4, 4), 128 << 8, np.uint16))
    assert (to_array(picture, [1, 4, 4], background=WHITE) == 128).all()


def test_decode_respects_the_orientation_of_cameras(tmp_path):
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


def saved(picture, path, **options):
    """Return the picture as `limner.files.pictures` reads it back."""
    picture.save(path, **options)
    return load_picture(path)


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (128 << 8, 128), (65535, 255)])
@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_of_every_format_are_scaled(tmp_path, suffix, value, expected):
    picture = Image.fromarray(np.full((4, 4), value, np.uint16))
    found = saved(picture, tmp_path / f"a.{suffix}")
    assert (to_array(found, [1, 4, 4], background=WHITE) == expected).all()


@pytest.mark.parametrize(("value", "expected"), [(0.0, 0), (0.5, 128), (1.0, 255)])
def test_floats_are_scaled_from_zero_to_one(tmp_path, value, expected):
    found = saved(Image.fromarray(np.full((4, 4), value, np.float32)), tmp_path / "a.tif")
    assert (to_array(found, [3, 4, 4], background=WHITE) == expected).all()


@pytest.mark.parametrize(
    "values",
    [
        np.full((4, 4), 1.5, np.float32), np.full((4, 4), np.nan, np.float32),
        np.full((4, 4), 70_000, np.int32), np.full((4, 4), -1, np.int32),
    ],
)  # fmt: skip
def test_decode_refuses_values_that_would_wrap_or_be_clipped(tmp_path, values):
    found = saved(Image.fromarray(values), tmp_path / "a.tif")
    pictures = Pictures(
        names=["a.tif"], read=lambda i: found, labels=None, classes=[], fingerprint=0, sizes=0
    )
    with pytest.raises(CorruptPicture, match=r"a\.tif cannot be read \(has values from"):
        decode(pictures, 0, [1, 4, 4], background=WHITE)


@pytest.mark.parametrize("mode", ["CMYK", "P", "1", "L", "LA", "RGBA"])
def test_modes_of_tiff_become_their_colour(tmp_path, mode):
    colour = Image.new("RGB", (4, 4), (255, 255, 255)).convert(mode)
    array = to_array(saved(colour, tmp_path / "a.tif"), [3, 4, 4], background=(0, 0, 0))
    assert (array == 255).all()


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("1", 1), ("L", 1), ("LA", 1), ("I;16", 1), ("RGB", 3), ("RGBA", 3), ("P", 3), ("CMYK", 3)],
)
def test_shape_of_counts_no_transparency_among_the_channels(mode, channels):
    assert shape_of(Image.new(mode, (6, 8))) == [channels, 8, 6]


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp"])
def test_first_picture_is_read_when_a_file_has_several(tmp_path, suffix):
    pages = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if suffix == "webp" else {}
    found = saved(
        pages[0], tmp_path / f"a.{suffix}", save_all=True, append_images=pages[1:], **options
    )
    array = to_array(found, [3, 8, 8], background=WHITE)
    assert array[:, 4, 4].tolist() == [255, 0, 0]


def test_orientation_of_a_tiff_is_respected(tmp_path):
    pixels = np.zeros((6, 8), np.uint8)
    pixels[0] = 255
    found = saved(Image.fromarray(pixels), tmp_path / "a.tif", tiffinfo={274: 6})
    assert shape_of(found) == [1, 8, 6]
    assert (to_array(found, [1, 8, 6], background=WHITE)[0, :, -1] == 255).all()
