"""The picture of a confusion matrix: shares of rows as colours, and labels where they fit."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from limner.callbacks.confusion_matrix import confusion_picture
from limner.files.pictures import grid_box


def tiles(counts, names=()):
    """Return the colour of the corner of each tile, (K, K + 1, 3)."""
    picture = confusion_picture(counts, names, title="Confusion matrix, update 1")
    grid = np.asarray(picture.crop(grid_box(picture))).astype(int)
    size = grid.shape[0] // len(counts)
    assert grid.shape == (len(counts) * size, (len(counts) + 1) * size, 3)
    return grid[::size, ::size]


@pytest.mark.parametrize("num_classes", [3, 30, 150])
def test_confusion_picture_shows_true_classes_in_rows_and_predictions_in_columns(num_classes):
    counts = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    counts[0, 0], counts[1, 2], counts[2, 1], counts[2, 2] = 5, 700, 1, 3
    darkness = 255 - tiles(counts)[..., 0]
    assert set(zip(*map(list, np.nonzero(darkness[:, :-1])), strict=True)) == {
        (0, 0), (1, 2), (2, 1), (2, 2)
    }  # fmt: skip
    assert darkness[0, 0] == darkness[1, 2] > darkness[2, 2] > darkness[2, 1]
    accuracy = darkness[:3, -1]
    assert accuracy[0] > accuracy[2] > accuracy[1] == 0


def test_confusion_picture_has_room_for_the_names_of_classes():
    counts = torch.eye(3, dtype=torch.int64)
    without, named = (
        confusion_picture(counts, names, title="Confusion matrix")
        for names in ((), ["a long name of a class"] * 3)
    )
    assert grid_box(named)[0] > grid_box(without)[0]
    file = io.BytesIO()
    named.save(file, "PNG")
    assert Image.open(file).size == named.size
