"""Films: enlarged frames, marks, titles and files."""

import pytest
import torch
from PIL import Image

from limner.callbacks.films import MARK, film, write_film
from limner.pixels import to_float

ORANGE = torch.tensor(MARK)[:, None]


@pytest.mark.parametrize("num_channels", [1, 3])
def test_film_enlarges_small_frames_and_marks_some(num_channels):
    """A border is in the gaps, so that no pixel of a frame is hidden."""
    frames = torch.randint(0, 256, (3, 2, num_channels, 8, 8), dtype=torch.uint8)
    marked = torch.tensor([[False, False], [False, True], [True, False]])
    found = film(to_float(frames), columns=2, marked=marked)
    assert found.shape == (2, 3, 2 * 66 + 2, 2 * 66 + 2)
    for number in range(3):
        top, left = 66 * (number // 2), 66 * (number % 2)
        tile = found[:, :, top + 2 : top + 66, left + 2 : left + 66]
        assert torch.equal(tile[..., ::8, ::8], frames[number].expand(-1, 3, -1, -1))
        assert torch.equal(tile[..., 7::8, 7::8], tile[..., ::8, ::8])
        for time in range(2):
            edge = found[time, :, top, left + 10 : left + 60]
            assert (edge == ORANGE).all() == marked[number, time]


def test_film_of_one_sequence_has_a_border_around_it():
    frames = torch.randint(0, 256, (1, 2, 1, 64, 32), dtype=torch.uint8)
    found = film(to_float(frames), columns=1, marked=torch.tensor([[False, True]]))
    assert found.shape == (2, 3, 68, 36)
    assert torch.equal(found[:, :1, 2:-2, 2:-2], frames[0])
    assert (found[1, :, 0] == ORANGE).all()
    assert (found[0, :, 0] == 255).all()


def test_write_film_makes_no_run_folder_but_its_folder_of_samples(tmp_path):
    moving = film(torch.rand(2, 3, 1, 8, 8), columns=2)
    path = write_film(tmp_path / "samples" / "a.gif", moving, frames_per_second=5, max_side=40)
    with Image.open(path) as gif:
        assert (gif.n_frames, max(gif.size)) == (3, 40)
    with pytest.raises(OSError, match="gone"):
        write_film(tmp_path / "gone" / "samples" / "a.gif", moving, frames_per_second=5)
