"""Pictures of sequences that scores compare: frames, and differences of frames."""

import pytest
import torch

from limner.metrics.sequence_pictures import (
    DIFFERENCES,
    FRAMES,
    PER_SEQUENCE,
    PictureView,
    indices_of,
    pictures_of,
)


def ramps(num=12, *, num_frames=7, step=10):
    """Return sequences (num, T, 1, 2, 2) whose frame t has the value number + step * t."""
    values = torch.arange(num)[:, None] + step * torch.arange(num_frames)
    return values[..., None, None, None].expand(-1, -1, 1, 2, 2).to(torch.uint8)


class Store:
    fingerprint, labels, background = "ramps", None, None

    def __init__(self, frames):
        self.frames = frames

    def __len__(self):
        return len(self.frames)

    def gather(self, indices):
        return self.frames[indices]


def test_frames_of_many_sequences_have_all_times():
    numbers = torch.arange(12)
    pictures = pictures_of(ramps(), numbers, FRAMES).unflatten(0, (12, PER_SEQUENCE))
    times = (pictures[:, :, 0, 0, 0].long() - numbers[:, None]) // 10
    assert set(times.flatten().tolist()) == set(range(7))
    assert (times[:, 0] != times[:, 1]).all()


def test_differences_are_half_of_the_change_around_grey():
    numbers = torch.arange(12)
    for step in (10, 20):
        found = pictures_of(ramps(step=step), numbers, DIFFERENCES)
        assert found.dtype == torch.uint8
        assert (found.float() - (127.5 + step / 2)).abs().max() <= 0.5
    falling = pictures_of(ramps(step=10).flip(1), numbers, DIFFERENCES)
    assert (falling.float() - (127.5 - 5)).abs().max() <= 0.5
    extremes = torch.tensor([0, 255, 0], dtype=torch.uint8).view(1, 3, 1, 1, 1)
    assert pictures_of(extremes, torch.zeros(1).long(), DIFFERENCES).flatten().tolist() == [255, 0]


def test_baselines_change_the_motion_alone():
    numbers = torch.arange(12)
    assert pictures_of(ramps(), numbers, "still").unique().numel() == 1
    shuffled = pictures_of(ramps(), numbers, "shuffled")
    assert shuffled.unique().numel() > 1
    assert (shuffled != pictures_of(ramps(), numbers, DIFFERENCES)).any()


@pytest.mark.parametrize("kind", [FRAMES, DIFFERENCES, "still", "shuffled"])
def test_view_gathers_the_pictures_of_each_sequence_in_any_order(kind):
    frames = ramps()
    view = PictureView(Store(frames), kind)
    sequences = torch.tensor([7, 2, 11])
    expected = pictures_of(frames[sequences], sequences, kind)
    indices = indices_of(sequences)
    assert torch.equal(view.gather(indices), expected)
    assert torch.equal(view.gather(indices.flip(0)), expected.flip(0))
    assert len(view) == PER_SEQUENCE * len(frames)


def test_views_of_several_kinds_have_several_fingerprints():
    kinds = (FRAMES, DIFFERENCES, "still", "shuffled")
    assert len({PictureView(Store(ramps()), kind).fingerprint for kind in kinds}) == 4
