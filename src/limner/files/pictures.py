"""Reading of untrusted picture files, in a few formats and within limits.

PIL can read some forty formats, and for one of them (PostScript) it starts a program. This module
lets PIL read only the documented formats, and only within the memory that `MAX_BYTES` and
`MAX_PIXELS` allow. If a file has several pictures (an animation, the pages of a TIFF), the first
picture is read.
"""

__all__ = [
    "CAPTIONS",
    "FORMATS",
    "GRID",
    "MAX_BYTES",
    "MAX_PIXELS",
    "SUFFIXES",
    "decode_picture",
    "grid_box",
    "grid_captions",
    "load_picture",
    "open_picture",
]

import io
import json
import logging
import re
import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from limner.files.plain import NotPlainError, read_bytes

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Formats that are read, by PIL's names."""

SUFFIXES = (
    ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif",
    ".tiff", ".webp",
)  # fmt: skip
"""Endings of the names of picture files, in lower case."""

MAX_BYTES = 2**29
"""Largest size of a picture file, or of an unpacked picture from a .zip file: 512 MiB."""

MAX_PIXELS = 100_000_000
"""Largest number of pixels of a picture that limner reads or writes, checked before decoding."""

GRID = "limner:grid"
"""Key of the text "left,top,right,bottom" in a PNG: the box of the grid within its labels."""

CAPTIONS = "limner:captions"
"""Key of the captions of the images of a grid in a PNG: a list in JSON, in reading order."""

BOX = re.compile(r"(\d{1,6}),(\d{1,6}),(\d{1,6}),(\d{1,6})", re.ASCII)

# PIL's warnings do not name the file; limner's own messages report what matters
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)

_open = Image.open  # limner.data.distrust redirects torchvision's calls of Image.open


def load_picture(path: Path) -> Image.Image:
    """Return the decoded picture of a file.

    Raises:
        NotPlainError: If the file is not regular, has another format, is too large or is damaged.
    """
    return decode_picture(read_bytes(path, max_bytes=MAX_BYTES))


def decode_picture(content: bytes) -> Image.Image:
    """Return the decoded picture of a file's content.

    Raises:
        NotPlainError: If the content has another format, is too large or is damaged.
    """
    picture = open_picture(content)
    try:
        picture.load()
    except Exception as error:  # an untrusted file may cause any exception in PIL
        raise NotPlainError(f"is damaged ({_reason(error)})") from error
    return picture


def open_picture(content: bytes) -> Image.Image:
    """Return the picture of a file's content; PIL decodes it at the first access to the pixels.

    Raises:
        NotPlainError: If the content has another format, is too large or has a damaged header.
    """
    try:
        picture = _open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise NotPlainError(f"is no whole picture in {_either(FORMATS)} format") from error
    except Image.DecompressionBombError as error:
        raise NotPlainError(f"has more than {MAX_PIXELS:,} pixels; scale it down first") from error
    except Exception as error:  # an untrusted file may cause any exception in PIL
        raise NotPlainError(f"is damaged ({_reason(error)})") from error
    if picture.width * picture.height > MAX_PIXELS:
        raise NotPlainError(
            f"has {picture.width} x {picture.height} pixels, but the limit is "
            f"{MAX_PIXELS:,}; scale it down first"
        )
    return picture


def grid_box(picture: Image.Image) -> tuple[int, int, int, int]:
    """Return the box (left, top, right, bottom) of the grid in a picture that limner has drawn.

    Returns:
        The box in pixels, without the title and the labels around the grid; the whole picture if
        the picture records no box.

    Raises:
        NotPlainError: If the record is no box within the picture.
    """
    recorded = picture.info.get(GRID)
    if recorded is None:
        return 0, 0, picture.width, picture.height
    found = BOX.fullmatch(str(recorded))
    left, top, right, bottom = (0, 0, 0, 0) if found is None else map(int, found.groups())
    if not (left < right <= picture.width and top < bottom <= picture.height):
        raise NotPlainError("has a damaged record of its grid")
    return left, top, right, bottom


def grid_captions(picture: Image.Image) -> list[str] | None:
    """Return the captions of the images of a grid that limner has drawn; None without captions.

    Raises:
        NotPlainError: If the record is no list of texts.
    """
    recorded = picture.info.get(CAPTIONS)
    if recorded is None:
        return None
    try:
        captions = json.loads(recorded)
    except (ValueError, TypeError, RecursionError):
        captions = None
    if not isinstance(captions, list) or not all(isinstance(text, str) for text in captions):
        raise NotPlainError("has a damaged record of its captions")
    return captions


def _either(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
