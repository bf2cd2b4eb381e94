"""Transformation of a picture in tiles, with memory for activations bounded by the tile.

Each tile is read with the full receptive field of the network around it. At the border of the
picture a tile ends at the border, so that the padding of the network acts as for the whole
picture. Corners are multiples of the strides of the network. So the result equals the result
without tiles, up to the rounding of floating-point sums.
"""

__all__ = ["Tile", "tiles", "transform_tiled", "transformed_tiles", "work_of"]

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from limner.pixels import to_float, to_uint8

Call = Callable[[Tensor, Tensor | None], Tensor]
"""A network: inputs (1, C, h, w) and their mask (1, 1, h, w) or None -> (1, C, f*h, f*w)."""


class Tile(NamedTuple):
    """A rectangle of the input, and the larger rectangle that the network reads for it."""

    rows: slice
    columns: slice
    read_rows: slice
    read_columns: slice


def tiles(
    height: int, width: int, *, tile: int | None, overlap: int | None, multiple: int
) -> list[Tile]:
    """Return tiles of about equal sizes that cover a picture without overlap, row by row.

    Args:
        height: Height of the input in pixels.
        width: Width of the input in pixels.
        tile: Largest height and width of a tile, without what is read around it; the corners'
            `multiple` is the least. None for a single tile.
        overlap: Radius of the receptive field in pixels; None for a single tile.
        multiple: Number that divides the corners of all tiles.
    """
    if tile is None or overlap is None:
        whole = slice(0, height), slice(0, width)
        return [Tile(*whole, *whole)]
    margin = -(-overlap // multiple) * multiple
    return [
        Tile(*(slice(*each) for each in (rows, columns)), *(
            slice(max(0, start - margin), min(size, stop + margin))
            for (start, stop), size in ((rows, height), (columns, width))
        ))
        for rows in _parts(height, tile, multiple)
        for columns in _parts(width, tile, multiple)
    ]  # fmt: skip


def work_of(found: list[Tile]) -> float:
    """Return how often tiles read each pixel of the picture on average, at least 1."""
    read = sum(_area(each.read_rows, each.read_columns) for each in found)
    return read / sum(_area(each.rows, each.columns) for each in found)


def transformed_tiles(
    network: Call,
    picture: np.ndarray,
    found: list[Tile],
    *,
    scale: int,
    mask: np.ndarray | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Yield rows and columns of the output, and their pixels uint8 (h, w, C), for each tile.

    Args:
        network: The network; it gets float inputs in [-1, 1], with 0 in holes.
        picture: Input, uint8 (H, W, C).
        found: Tiles that `tiles` returns.
        scale: Height of the output divided by the height of the input.
        mask: bool (H, W), true where a pixel is known; None for a network without a mask.
        device: Device of the network.
    """
    for each in found:
        read = each.read_rows, each.read_columns
        inputs = _batch(picture[read], device)
        inputs, known = to_float(inputs), None
        if mask is not None:
            known = _batch(mask[read][..., None], device).float()
            inputs = inputs * known
        with torch.inference_mode():
            output = network(inputs, known)
            pixels = to_uint8(output[0]).permute(1, 2, 0).cpu().numpy()
        del inputs, known, output  # before the next tile
        rows, columns = _scaled(each.rows, scale), _scaled(each.columns, scale)
        top, left = each.read_rows.start * scale, each.read_columns.start * scale
        kept = slice(rows.start - top, rows.stop - top)
        yield rows, columns, pixels[kept, columns.start - left : columns.stop - left]


def transform_tiled(
    network: Call,
    picture: np.ndarray,
    *,
    overlap: int | None,
    multiple: int,
    scale: int,
    tile: int | None,
    mask: np.ndarray | None = None,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Return the whole output, uint8 (scale * H, scale * W, C), see `tiles` for the arguments."""
    height, width, _ = picture.shape
    found = tiles(height, width, tile=tile, overlap=overlap, multiple=multiple)
    output = np.empty(0, np.uint8)
    for rows, columns, pixels in transformed_tiles(
        network, picture, found, scale=scale, mask=mask, device=device
    ):
        if output.size == 0:
            output = np.empty((height * scale, width * scale, pixels.shape[2]), np.uint8)
        output[rows, columns] = pixels
    return output


def _parts(size: int, tile: int, multiple: int) -> list[tuple[int, int]]:
    """Return the (start, stop) of parts of at most `tile` pixels; starts are multiples."""
    largest = max(multiple, tile // multiple * multiple)
    step = -(-size // -(-size // largest))  # equal parts, rounded up
    step = -(-step // multiple) * multiple
    return [(start, min(size, start + step)) for start in range(0, size, step)]


def _batch(pixels: np.ndarray, device: torch.device | str) -> Tensor:
    return torch.from_numpy(np.array(pixels)).to(device).permute(2, 0, 1)[None]


def _area(rows: slice, columns: slice) -> int:
    return (rows.stop - rows.start) * (columns.stop - columns.start)


def _scaled(part: slice, scale: int) -> slice:
    return slice(part.start * scale, part.stop * scale)
