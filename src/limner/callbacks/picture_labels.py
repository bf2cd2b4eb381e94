"""Titles and labels around a grid of images, so that a picture explains its content."""

__all__ = ["cut_lines", "label_font", "with_labels"]

import functools
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from limner.files.pictures import GRID
from limner.files.printable import printable

SMALLEST_TEXT = 14  # font size in pixels; its capitals are 10 pixels high
SMALLEST_WIDTH = 360  # pixels, so that a title at any update fits into one line
SHARE = 60  # shorter side of a grid divided by the font size
LONGEST = 12  # largest length of a row's label, in font sizes
GREY = (96, 96, 96)


def with_labels(
    grid: Image.Image,
    *,
    title: str,
    about: str = "",
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
) -> Image.Image:
    """Return a grid of images with a title above it, and labels at its rows and columns.

    The size of the result depends on the title only if the title is long, so pictures of one run
    at different updates have equal sizes. The result's `info` records the box of the grid, see
    `limner.files.pictures.grid_box`.

    Args:
        grid: Picture with rows and columns of equal sizes, RGB or RGBA.
        title: First line, in bold.
        about: Explanation below the title, wrapped to the width of the picture.
        rows: Label of each row of the grid; () for no labels.
        columns: Label of each column of the grid; () for no labels.
    """
    size = max(SMALLEST_TEXT, min(grid.size) // SHARE)
    bold, plain = label_font("DejaVuSans-Bold.ttf", size), label_font("DejaVuSans.ttf", size)
    rows, columns = ([printable(text) for text in texts] for texts in (rows, columns))
    rows = [_cut(text, plain, LONGEST * size) for text in rows]
    gap, line = size // 2, round(1.35 * size)

    left = gap + max(round(plain.getlength(text)) for text in rows) if rows else 0
    width = max(left + grid.width, SMALLEST_WIDTH)
    header = [(text, bold, "black") for text in _wrapped(title, bold, width - 2 * gap)]
    header += [(text, plain, GREY) for text in _wrapped(about, plain, width - 2 * gap)]
    top = gap + len(header) * line + (line if columns else 0) + gap // 2

    white = (255,) * len(grid.getbands())
    picture = Image.new(grid.mode, (width, top + grid.height), white)
    picture.paste(grid, (left, top))
    draw = ImageDraw.Draw(picture)
    for number, (text, font, colour) in enumerate(header):
        draw.text((gap // 2, gap + number * line), text, fill=colour, font=font)
    for number, text in enumerate(rows):
        middle = top + (number + 0.5) * grid.height / len(rows)
        draw.text((left - gap // 2, middle), text, fill="black", font=plain, anchor="rm")
    narrow = _fitting("DejaVuSans.ttf", size, columns, 0.85 * grid.width / max(len(columns), 1))
    for number, text in enumerate(columns):
        middle = left + (number + 0.5) * grid.width / len(columns)
        draw.text((middle, top - gap // 2), text, fill="black", font=narrow, anchor="ms")
    picture.info[GRID] = f"{left},{top},{left + grid.width},{top + grid.height}"
    return picture


def cut_lines(text: str, font: ImageFont.FreeTypeFont, width: float, most: int) -> list[str]:
    """Return the lines of a text within a width in pixels; an ellipsis ends a text of more."""
    lines = _wrapped(text[: int(most * width)], font, width)  # a letter takes a pixel or more
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [_cut(line, font, width) for line in lines]


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Return the lines of a text; [] for an empty text."""
    lines: list[str] = []
    for word in printable(text).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _cut(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Return a text that is no wider than `width`; an ellipsis replaces its end."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _fitting(name: str, size: int, texts: Sequence[str], width: float) -> ImageFont.FreeTypeFont:
    """Return a font of at most `size` in which each text fits into `width`, if it is readable."""
    longest = max((label_font(name, size).getlength(text) for text in texts), default=0)
    return label_font(name, size if longest <= width else max(10, int(size * width / longest)))


@functools.cache
def label_font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """Return one of matplotlib's fonts, which have Latin, Greek, Cyrillic and more letters."""
    import matplotlib  # slow, and only needed for text

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)
