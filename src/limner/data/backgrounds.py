"""Background colour behind transparent pixels, for images without an alpha channel."""

__all__ = [
    "WHITE", "Colour", "background_of", "compose", "hexadecimal", "may_be_transparent",
    "parse_colour",
]  # fmt: skip

from collections.abc import Sequence

from PIL import Image, ImageColor

from limner.errors import UserError
from limner.files.pictures import SUFFIXES

Colour = tuple[int, int, int]
"""Red, green and blue, each from 0 to 255."""
WHITE: Colour = (255, 255, 255)
TRANSPARENT = (".bmp", ".gif", ".png", ".tif", ".tiff", ".webp")
"""Suffixes of the file formats that can hold transparent pixels."""


def parse_colour(value: str | Sequence[int], key: str = "data.background") -> Colour:
    """Return a colour from a config.

    Args:
        value: CSS name, "#rrggbb", or red, green and blue from 0 to 255.
        key: Key of the value, for the message.

    Raises:
        UserError: If the value is not such a colour.
    """
    try:
        found = ImageColor.getrgb(value) if isinstance(value, str) else tuple(value)
    except ValueError:
        found = ()
    if len(found) != 3 or not all(_is_byte(part) for part in found):
        shown = value if isinstance(value, str) else list(value)
        raise UserError(
            f"{key}={shown}: must be a colour: a name such as white or black, "
            "'#rrggbb', or [R,G,B] of whole numbers from 0 to 255."
        )
    red, green, blue = found
    return red, green, blue


def hexadecimal(colour: Colour) -> str:
    """Return a colour as "#rrggbb"."""
    return "#" + bytes(colour).hex()


def background_of(store: object) -> dict[str, str]:
    """Return the entry for a store's background in a score's protocol; {} without background."""
    background = getattr(store, "background", None)
    return {} if background is None else {"background": background}


def compose(picture: Image.Image, colour: Colour) -> tuple[Image.Image, bool]:
    """Compose a picture of 8 bits per channel over a background colour.

    Returns:
        The RGB picture and True, or the unchanged picture and False if all its pixels are opaque.
    """
    if not picture.has_transparency_data:
        return picture, False
    if picture.mode == "La":  # PIL converts La to no other mode than LA
        picture = picture.convert("LA")
    above = picture.convert("RGBA")
    lowest, _ = above.getchannel("A").getextrema()
    if lowest == 255:
        return picture, False
    below = Image.new("RGBA", picture.size, (*colour, 255))
    return Image.alpha_composite(below, above).convert("RGB"), True


def may_be_transparent(names: Sequence[str], colour: Colour) -> bool:
    """Return whether the background may affect the pixels of pictures, judging by their names.

    Names without a picture's suffix, as in torchvision's data sets, count as possibly transparent
    only if the colour is not white.
    """
    unknown = colour != WHITE and not all(name.lower().endswith(SUFFIXES) for name in names)
    return unknown or any(name.lower().endswith(TRANSPARENT) for name in names)


def _is_byte(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255
