"""Pictures of every mode become the arrays that a model reads."""

import numpy as np
import pytest
from PIL import Image

from limner.errors import UserError
from limner.pretrained.picture_input import picture_input

RNG = np.random.default_rng(0)
COLOUR = Image.fromarray(RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8))
GREY = Image.fromarray(RNG.integers(0, 256, (5, 7), dtype=np.uint8))
ALPHA = Image.fromarray(RNG.integers(0, 255, (5, 7), dtype=np.uint8))


def with_alpha(picture):
    made = picture.copy()
    made.putalpha(ALPHA)
    return made


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "RGBX"])
def test_opaque_pictures_of_every_mode_become_pixels(mode, channels):
    made = picture_input(COLOUR.convert(mode), channels=channels, needs_mask=False)
    assert made.pixels.shape == (5, 7, channels)
    assert (made.mask, made.alpha, made.is_grey) == (None, None, mode in ("1", "L"))
    named = {change.split()[0] for change in made.changes}
    assert (mode in named) == (mode in ("CMYK", "YCbCr", "HSV"))
    assert ("colour" in named) == (channels == 1 and not made.is_grey)
    assert ("grey" in named) == (channels == 3 and made.is_grey)


@pytest.mark.parametrize("picture", [with_alpha(COLOUR), with_alpha(GREY)], ids=["RGBA", "LA"])
def test_transparency_is_carried_beside_the_pixels_or_is_the_mask(picture):
    opaque = picture.convert("RGB")
    made = picture_input(picture, channels=3, needs_mask=False)
    assert np.array_equal(made.pixels, np.asarray(opaque))
    assert np.array_equal(made.alpha, ALPHA)
    made = picture_input(picture, channels=3, needs_mask=True)
    assert made.alpha is None
    assert np.array_equal(made.mask, np.asarray(ALPHA) == 255)


def test_transparent_colour_of_a_palette_is_transparency():
    palette = GREY.convert("P")
    palette.info["transparency"] = int(np.asarray(palette)[2, 3])
    made = picture_input(palette, channels=3, needs_mask=False)
    assert np.asarray(made.alpha)[2, 3] == 0


def test_opaque_alpha_is_no_transparency():
    picture = COLOUR.convert("RGBA")
    assert picture_input(picture, channels=3, needs_mask=False).alpha is None
    with pytest.raises(UserError, match="it has no transparent pixels"):
        picture_input(picture, channels=3, needs_mask=True)


def test_four_channels_read_the_transparency():
    picture = with_alpha(COLOUR)
    made = picture_input(picture, channels=4, needs_mask=False)
    assert np.array_equal(made.pixels, np.asarray(picture))
    assert made.alpha is None


def test_deep_pictures_are_scaled_and_named():
    deep = RNG.integers(0, 2**16, (5, 7)).astype(np.uint16)
    made = picture_input(Image.fromarray(deep), channels=1, needs_mask=False)
    assert np.array_equal(made.pixels[..., 0], deep >> 8)
    assert made.changes == ("more than 8 bits to 8 bits",)
    assert made.is_grey
