"""The single pictures of a run's `final.png`, an untrusted grid of samples."""

__all__ = ["tiles"]

import io
import re
import warnings
from pathlib import Path

from PIL import Image

from limner.commands.compare.records import Run, inside
from limner.errors import UserError
from limner.files.pictures import CAPTIONS, grid_box, grid_captions
from limner.files.plain import NotPlainError, read_bytes
from limner.files.printable import printable

PADDING = 2
"""Number of pixels around each tile of a grid of samples, as in torchvision's make_grid."""
SMALLEST_TILE = 64
"""Number of pixels to which a grid enlarges smaller images."""
MAX_BYTES = 500_000_000
MAX_PIXELS = 100_000_000
"""Limit on the pixels of a picture; 64 images of 1024x1024 with labels have 87 million."""
SHAPE = re.compile(r"\[(\d{1,5}),(\d{1,5}),(\d{1,5})\]", re.ASCII)


def tiles(run: Run) -> list[Image.Image]:
    """Cut a run's `final.png` into its single pictures.

    The `info` of a picture that was drawn for a caption has the caption under the key "caption".

    Raises:
        UserError: If the file cannot be read, or if its layout does not match the run's config.
    """
    try:
        shape = _image_shape(run)
        most = _num_images(run)
        grid = _opened(inside(run.folder, "final.png"))
        cut = _cut(grid, *shape)[:most]
        for picture, caption in zip(cut, _captions(grid) or [], strict=False):
            picture.info["caption"] = caption
        return cut
    except NotPlainError as error:
        raise UserError(f"{run.title}: {printable(error)}.") from error


def _image_shape(run: Run) -> tuple[int, int]:
    """Return the height and the width of an image."""
    text = run.config.get("data.image_shape", "not there")
    found = SHAPE.fullmatch(text)
    if found is None or "0" in (size.lstrip("0") or "0" for size in found.groups()):
        raise NotPlainError(f"data.image_shape is {text[:40]}, not [channels,height,width]")
    return int(found[2]), int(found[3])


def _num_images(run: Run) -> int | None:
    text = run.config.get("callbacks.pictures.num_images")
    if text is None:
        return None
    if re.fullmatch(r"0*[1-9]\d{0,8}", text, re.ASCII) is None:
        raise NotPlainError(f"callbacks.pictures.num_images is {text[:40]}, not a number above 0")
    return int(text)


def _opened(path: Path) -> Image.Image:
    """Return the grid in RGB, without its labels; the size is checked before it is decoded."""
    content = io.BytesIO(_content(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # checked below
            file = Image.open(content, formats=("PNG",))
        with file:
            width, height = file.size
            if width * height > MAX_PIXELS:
                raise NotPlainError(f"final.png is too large ({width}x{height} pixels)")
            grid = file.convert("RGB").crop(_box(file))
            if CAPTIONS in file.info:
                grid.info[CAPTIONS] = file.info[CAPTIONS]
            return grid
    except NotPlainError:
        raise
    except Image.DecompressionBombError as error:
        raise NotPlainError("final.png is too large a picture") from error
    except Exception as error:  # untrusted bytes may break a decoder in any way
        reason = "no PNG" if isinstance(error, Image.UnidentifiedImageError) else error
        raise NotPlainError(f"final.png cannot be read ({reason})") from error


def _content(path: Path) -> bytes:
    try:
        return read_bytes(path, max_bytes=MAX_BYTES)
    except NotPlainError as error:
        raise NotPlainError(f"final.png {error}") from error


def _box(picture: Image.Image) -> tuple[int, int, int, int]:
    try:
        return grid_box(picture)
    except NotPlainError as error:
        raise NotPlainError(f"final.png {error}") from error


def _captions(picture: Image.Image) -> list[str] | None:
    try:
        return grid_captions(picture)
    except NotPlainError as error:
        raise NotPlainError(f"final.png {error}") from error


def _cut(grid: Image.Image, height: int, width: int) -> list[Image.Image]:
    factor = max(1, -(-SMALLEST_TILE // max(height, width)))
    height, width = height * factor, width * factor
    if grid.size == (width, height):
        return [grid]  # make_grid adds no padding to one image
    columns, rest = divmod(grid.width - PADDING, width + PADDING)
    rows, rest_below = divmod(grid.height - PADDING, height + PADDING)
    if rest or rest_below or min(columns, rows) < 1:
        raise NotPlainError(f"final.png is no grid of pictures of {width}x{height} pixels")
    corners = [
        (PADDING + x * (width + PADDING), PADDING + y * (height + PADDING))
        for y in range(rows)
        for x in range(columns)
    ]
    return [grid.crop((x, y, x + width, y + height)) for x, y in corners]
