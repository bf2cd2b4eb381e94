import numpy as np
import pytest
import torch

from limner.callbacks.pictures import grid, interleave, rows_of_classes
from support.grids import grid_of


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_grid_has_every_image_in_its_place(channels):
    images = torch.full((4, channels, 64, 64), -1.0)
    images[3] = 1.0
    pixels = np.asarray(grid(images, columns=2).convert("L"))
    assert pixels.shape == (2 * 64 + 6, 2 * 64 + 6)
    assert pixels[33, 33] == 0
    assert pixels[33 + 66, 33 + 66] == 255


def test_grid_enlarges_tiny_images():
    assert grid(torch.zeros(4, 1, 8, 8), columns=2).size == (134, 134)
    assert grid(torch.zeros(4, 3, 100, 100), columns=2).size == (206, 206)


def test_grid_shows_originals_above_their_reconstructions():
    above, below = torch.zeros(5, 1, 2, 2), torch.ones(5, 1, 2, 2)
    rows = interleave(above, below, columns=2)[:, 0, 0, 0].tolist()
    assert rows == [0, 0, 1, 1, 0, 0, 1, 1]


def test_grid_has_one_row_per_class():
    labels, columns = rows_of_classes(10, 64)
    assert columns == 6
    assert labels.view(-1, columns).unique(dim=1).flatten().tolist() == list(range(10))
    assert rows_of_classes(1000, 64)[0].unique().tolist() == list(range(16))
    assert rows_of_classes(2, 1)[0].tolist() == [0]


def test_pictures_of_a_run_use_the_same_noise(run):
    """If the model does not change, every picture is the same."""
    result = run(
        "optimizer=sgd", "optimizer.lr=0.0", "trainer.max_steps=4", "metrics=none", "logger=none",
        "callbacks.pictures.every_num_updates=2",
    )  # fmt: skip
    assert result.code == 0, result.err
    folder = result.only_run()
    first, second = (grid_of(folder / "samples" / f"update_0000000{n}.png") for n in (2, 4))
    assert np.array_equal(first, second)
    assert (folder / "samples" / "update_00000002_reconstructions.png").exists()
    assert np.array_equal(first, grid_of(folder / "final.png"))
