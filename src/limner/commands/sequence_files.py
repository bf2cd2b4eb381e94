"""Files of sequences of frames that a model draws: a picture, and a GIF that moves."""

__all__ = ["as_float", "write_rows", "write_sequences"]

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from limner.callbacks.films import film, write_film
from limner.callbacks.pictures import grid
from limner.callbacks.sequence_pictures import sheet
from limner.pixels import to_float

SPEED = 8.0
"""Frames per second of a GIF."""


def write_sequences(frames: np.ndarray, paths: tuple[Path, Path]) -> list[Path]:
    """Write a picture with a row for each sequence, and a GIF of a grid of all sequences.

    Args:
        frames: uint8 (N, T, H, W, C).
        paths: Paths of the picture and the GIF.
    """
    sequences = as_float(frames)
    picture, _ = sheet(sequences)
    return _written(picture, sequences, paths, columns=round(len(frames) ** 0.5))


def write_rows(rows: np.ndarray, paths: tuple[Path, Path]) -> list[Path]:
    """Write the middle frames of rows of sequences as a picture, and a GIF of all frames.

    Args:
        rows: uint8 (R, N, T, H, W, C).
        paths: Paths of the picture and the GIF.
    """
    columns = rows.shape[1]
    sequences = as_float(np.concatenate(list(rows)))
    middle = grid(sequences[:, sequences.shape[1] // 2], columns=columns)
    return _written(middle, sequences, paths, columns=columns)


def as_float(images: np.ndarray) -> Tensor:
    """Return images or frames uint8 (..., H, W, C) as (..., C, H, W) in [-1, 1]."""
    return to_float(torch.from_numpy(images).movedim(-1, -3))


def _written(
    picture: Image.Image, sequences: Tensor, paths: tuple[Path, Path], *, columns: int
) -> list[Path]:
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    picture.save(paths[0])
    moving = film(sequences, columns=max(1, columns))
    write_film(paths[1], moving, frames_per_second=SPEED)
    return list(paths)
