"""Picture files that a stranger may have made: which formats are read, and within which limits.

PIL knows some forty formats, and one of them (PostScript) starts a program. It is asked for those
that are documented only, and for no more memory than `MAX_BYTES` and `MAX_PIXELS` allow. Of a file
with several pictures (an animation, the pages of a TIFF) the first one is read.
"""

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "SUFFIXES",
    "decode_picture",
    "load_picture",
    "open_picture",
]

import io
import logging
import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from limner.files.plain import NotPlainError, read_bytes

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""The formats that PIL is asked for, by PIL's names."""

SUFFIXES = (
    ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif",
    ".tiff", ".webp",
)  # fmt: skip
"""What the names of picture files end in, in lower case."""

MAX_BYTES = 2**28
"""The largest picture file, and the largest picture inside a .zip file once unpacked: 256 MiB."""

MAX_PIXELS = 2**26
"""The most pixels of a picture, 8192 x 8192, checked before any of them is decoded."""


# what PIL has to say of a file comes without its name, and is our message if it matters
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)

_open = Image.open  # torchvision's calls of it are led here: see limner.data.distrust


def load_picture(path: Path) -> Image.Image:
    """Return the decoded picture of a file.

    Raises:
        NotPlainError: If it is no regular file of a format and a size that are read, or damaged.
    """
    return decode_picture(read_bytes(path, max_bytes=MAX_BYTES))


def decode_picture(content: bytes) -> Image.Image:
    """Return the decoded picture of a file's content.

    Raises:
        NotPlainError: If it is of no format or size that is read, or damaged.
    """
    picture = open_picture(content)
    try:
        picture.load()
    except Exception as error:  # a stranger's file may break its reader in any way
        raise NotPlainError(f"is damaged ({_reason(error)})") from error
    return picture


def open_picture(content: bytes) -> Image.Image:
    """Return the picture of a file's content, to be decoded when its pixels are asked for.

    Raises:
        NotPlainError: If it is of no format or size that is read.
    """
    try:
        picture = _open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise NotPlainError(f"is no whole picture in {_either(FORMATS)} format") from error
    except Image.DecompressionBombError as error:
        raise NotPlainError(f"has more than {MAX_PIXELS:,} pixels; scale it down first") from error
    except Exception as error:  # a stranger's file may break its reader in any way
        raise NotPlainError(f"is damaged ({_reason(error)})") from error
    if picture.width * picture.height > MAX_PIXELS:
        raise NotPlainError(
            f"has {picture.width} x {picture.height} pixels, and {MAX_PIXELS:,} are the most that "
            "are decoded; scale it down first"
        )
    return picture


def _either(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
