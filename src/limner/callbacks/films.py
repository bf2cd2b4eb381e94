"""Films: grids of images or sequences that move, as the frames of a GIF."""

__all__ = ["MAX_SIDE", "film", "write_film"]

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from limner.callbacks.picture_labels import with_labels
from limner.callbacks.pictures import GAP, grid
from limner.callbacks.run_pictures import SAMPLES
from limner.files.videos import write_gif

MAX_SIDE = 1024
"""Largest height and width of a film in pixels."""
MARK = (255, 128, 0)
"""Colour of the borders of marked frames, orange."""


def film(
    frames: Tensor,
    *,
    columns: int,
    marked: Tensor | None = None,
    titles: Sequence[str] = (),
    rows: Sequence[str] = (),
) -> Tensor:
    """Return the frames uint8 (T, 3, height, width) of a grid in which all sequences move.

    Frames smaller than 64 pixels are enlarged, see `limner.callbacks.pictures.grid`.

    Args:
        frames: Sequences (N, T, C, H, W) in [-1, 1].
        columns: Number of sequences in a row of the grid.
        marked: bool (N, T), the frames that get an orange border; None for no borders.
        titles: Title of the grid at each time; () for no titles and no labels of rows.
        rows: Label of each row of the grid, beside titles.
    """
    made = []
    for time, each in enumerate(frames.unbind(1)):
        picture = grid(each, columns=columns).convert("RGB")
        if marked is not None:
            picture = _bordered(picture, marked[:, time].tolist(), columns)
        if titles:
            picture = with_labels(picture, title=titles[time], rows=rows)
        made.append(np.asarray(picture))
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2)


def write_film(
    path: Path, frames: Tensor, *, frames_per_second: float, max_side: int = MAX_SIDE
) -> Path:
    """Write the frames of `film` as a GIF, and return its path.

    Args:
        path: Path of the file; the folder `samples` of a run is created if it is missing.
        frames: uint8 (T, 3, height, width).
        frames_per_second: Speed of the film, above 0 and at most 50.
        max_side: Largest height and width in pixels.
    """
    if path.parent.name == SAMPLES:  # a deleted run folder is not created again here
        path.parent.mkdir(exist_ok=True)
    return write_gif(path, frames, frames_per_second=frames_per_second, max_side=max_side)


def _bordered(picture: Image.Image, marked: Sequence[bool], columns: int) -> Image.Image:
    """Return a grid whose marked tiles, row by row, have borders in the gaps around them."""
    if len(marked) == 1:  # make_grid adds no gap around one image
        outer = Image.new("RGB", (picture.width + 2 * GAP, picture.height + 2 * GAP), "white")
        outer.paste(picture, (GAP, GAP))
        picture = outer
    columns = min(columns, len(marked))
    rows = -(-len(marked) // columns)
    width, height = (picture.width - GAP) // columns, (picture.height - GAP) // rows
    draw = ImageDraw.Draw(picture)
    for number, is_marked in enumerate(marked):
        if is_marked:
            left, top = number % columns * width, number // columns * height
            box = (left, top, left + width + GAP - 1, top + height + GAP - 1)
            draw.rectangle(box, outline=MARK, width=GAP)
    return picture
