import pytest
import torch

from limner.data.sequence_frames import StoredSequences


@pytest.fixture
def store():
    """Return sequences of 3, 5 and 4 frames, whose value is 10 number + position."""
    values = [10 * i + t for i, length in enumerate((3, 5, 4)) for t in range(length)]
    frames = torch.tensor(values, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    return StoredSequences(
        frames, torch.tensor([3, 5, 4]), num_frames=3, fingerprint="x", waits=False
    )


def values(frames):
    return frames[:, :, 0, 0, 0].tolist()


def test_gather_returns_the_first_frames(store):
    assert store.gather(torch.tensor([1, 0])).shape == (2, 3, 1, 2, 2)
    assert values(store.gather(torch.tensor([1, 0]))) == [[10, 11, 12], [0, 1, 2]]


def test_gather_returns_the_window_from_each_start(store):
    found = store.gather(torch.tensor([1, 2, 0]), torch.tensor([2, 1, 0]))
    assert values(found) == [[12, 13, 14], [21, 22, 23], [0, 1, 2]]


def test_only_keeps_the_chosen_sequences(store):
    kept = store.only([2, 0])
    assert kept.lengths.tolist() == [4, 3]
    assert values(kept.gather(torch.arange(2))) == [[20, 21, 22], [0, 1, 2]]
    assert len({store.fingerprint, kept.fingerprint, store.only([0, 2]).fingerprint}) == 3


def test_moved_store_is_equal(store):
    moved = store.to(torch.device("cpu"))
    assert values(moved.gather(torch.arange(3))) == values(store.gather(torch.arange(3)))
    assert moved.fingerprint == store.fingerprint
