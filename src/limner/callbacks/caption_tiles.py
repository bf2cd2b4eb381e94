"""Grids of images with a text below each image or each pair of images."""

__all__ = ["caption_grid", "with_row_texts"]

from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from limner.callbacks.picture_labels import SMALLEST_TEXT, cut_lines, label_font, with_labels
from limner.callbacks.pictures import grid

SMALLEST_CELL = 136
"""Smallest width of a cell in pixels, so that two or three words fit into a line."""
MOST_LINES = 4
"""Largest number of lines of a text; an ellipsis replaces the rest."""
GAP = 6
LINE = 18
"""Height of a line of text in pixels."""


def caption_grid(
    images: Tensor,
    texts: Sequence[str],
    *,
    columns: int,
    title: str,
    about: str = "",
    beside: Tensor | None = None,
) -> Image.Image:
    """Return a picture of images with their texts below them.

    Args:
        images: Images (N, C, H, W) in [-1, 1]; small images are enlarged.
        texts: Text of each image.
        columns: Number of cells in a row.
        title: First line of the picture.
        about: Explanation below the title.
        beside: Images (N, C, H, W) that stand to the right of `images` in each cell, or None.
    """
    sets = [images] if beside is None else [images, beside]
    rows = [_enlarged(grid(part, columns=len(sets))) for part in _stacked(sets)]
    tile = rows[0]
    width = max(SMALLEST_CELL, tile.width)
    plain = label_font("DejaVuSans.ttf", SMALLEST_TEXT)
    lines = [cut_lines(text, plain, width - GAP, MOST_LINES) for text in texts]
    height = tile.height + LINE * max(map(len, lines), default=1) + GAP
    columns = min(columns, len(rows))
    num_rows = -(-len(rows) // columns)
    white = (255,) * len(tile.getbands())
    sheet = Image.new(tile.mode, (columns * (width + GAP), num_rows * (height + GAP)), white)
    draw = ImageDraw.Draw(sheet)
    for number, (picture, shown) in enumerate(zip(rows, lines, strict=True)):
        x = number % columns * (width + GAP) + GAP // 2
        y = number // columns * (height + GAP)
        left = x + (width - tile.width) // 2
        sheet.paste(picture, (left, y))
        if beside is not None:  # a frame shows which images belong together
            right, bottom = left + tile.width - 1, y + tile.height - 1
            draw.rectangle((left, y, right, bottom), outline="lightgrey")
        for place, line in enumerate(shown):
            below = y + tile.height + GAP // 2 + place * LINE
            draw.text((x + width // 2, below), line, fill="black", font=plain, anchor="ma")
    return with_labels(sheet, title=title, about=about)


def with_row_texts(
    images: Image.Image, texts: Sequence[str], *, title: str, about: str = ""
) -> Image.Image:
    """Return a grid of images with a text to the left of each row, wrapped into lines."""
    if not texts:
        return with_labels(images, title=title, about=about)
    plain = label_font("DejaVuSans.ttf", SMALLEST_TEXT)
    most = max(1, images.height // len(texts) // LINE)
    lines = [cut_lines(text, plain, SMALLEST_CELL, most) for text in texts]
    width = max(int(plain.getlength(line)) for each in lines for line in each) + 2 * GAP
    white = (255,) * len(images.getbands())
    sheet = Image.new(images.mode, (width + images.width, images.height), white)
    sheet.paste(images, (width, 0))
    draw = ImageDraw.Draw(sheet)
    for number, shown in enumerate(lines):
        middle = (number + 0.5) * images.height / len(texts)
        for place, line in enumerate(shown):
            y = middle + (place - (len(shown) - 1) / 2) * LINE
            draw.text((width - GAP, y), line, fill="black", font=plain, anchor="rm")
    return with_labels(sheet, title=title, about=about)


def _enlarged(tile: Image.Image) -> Image.Image:
    """Return a tile enlarged by a whole factor to the width of a cell, if there is room."""
    factor = max(1, SMALLEST_CELL // tile.width)
    return tile.resize((factor * tile.width, factor * tile.height), Image.Resampling.NEAREST)


def _stacked(sets: Sequence[Tensor]) -> list[Tensor]:
    """Return the images of each cell, (number of sets, C, H, W)."""
    return list(torch.stack([part.cpu() for part in sets], 1))
