import itertools

import pytest
import torch
from hydra.utils import instantiate

from limner.augmentations.chain import Chain
from limner.augmentations.flip import HorizontalFlip
from limner.data.sequence_batches import SequenceBatches, SequenceEvaluation
from limner.data.sequence_frames import StoredSequences
from limner.pixels import to_float


class Endless:
    """Store whose sequence i shows i in the first frame, and each pixel its place."""

    waits, endless, labels = False, True, None
    device = torch.device("cpu")
    num_frames = 3

    def gather(self, indices, starts=None):
        frames = torch.zeros(len(indices), 3, 1, 2, 4, dtype=torch.uint8)
        return frames + (indices % 251)[:, None, None, None, None].byte()


def stored(*, waits=False):
    """Return 10 sequences of 4, 5, ... 13 frames; pixels are 20 number + position + 5 column."""
    lengths = torch.arange(4, 14)
    values = [20 * i + t for i, length in enumerate(lengths.tolist()) for t in range(length)]
    frames = torch.tensor(values)[:, None, None, None] + torch.zeros(1, 1, 2, 4, dtype=torch.int64)
    frames = frames + 5 * torch.arange(4)
    return StoredSequences(frames.byte(), lengths, num_frames=4, fingerprint="x", waits=waits)


def batches(store=None, *, indices=None, update=0, augmentation=None, **changes):
    usual = {
        "batch_size": 2, "batches_per_update": 1, "seed": 0, "rank": 0, "world_size": 1,
        "layout": torch.contiguous_format,
    }  # fmt: skip
    return SequenceBatches(
        store or stored(), torch.arange(10) if indices is None else indices,
        augmentation=augmentation, update=lambda: update, **usual | changes,
    )  # fmt: skip


def taken(loader, number):
    return [batch["frames"] for batch in itertools.islice(loader, number)]


def first_values(frames):
    """Return the value of the first pixel of each frame, (B, T)."""
    return ((frames[:, :, 0, 0, 0] + 1) * 127.5).round().int()


def test_batch_has_float_frames():
    (frames,) = taken(batches(), 1)
    assert frames.shape == (2, 4, 1, 2, 4)
    assert frames.dtype == torch.float32
    assert frames.min() >= -1
    assert frames.max() <= 1


def test_epoch_reads_every_sequence_once_in_a_window_of_its_frames():
    loader = batches()
    assert len(loader) == 5
    values = first_values(torch.cat(taken(loader, 5)))
    assert (values.diff(dim=1) == 1).all(), "the frames of a window follow one another"
    assert sorted((values[:, 0] // 20).tolist()) == list(range(10))


def test_windows_are_drawn_uniformly_from_all_that_fit():
    starts = {}
    for values in map(first_values, taken(batches(), 500)):
        for first in values[:, 0].tolist():
            starts.setdefault(first // 20, []).append(first % 20)
    for number in range(10):
        counts = torch.bincount(torch.tensor(starts[number]), minlength=number + 1)
        assert len(counts) == number + 1, "a sequence of 4 + n frames has n + 1 windows"
        assert counts.min() > 0


def test_frames_of_one_sequence_get_the_same_geometry():
    flip = Chain(parts={"flip": HorizontalFlip(probability=0.5)})
    seen = set()
    for frames in taken(batches(augmentation=flip), 20):
        rises = (frames[..., -1] > frames[..., 0]).flatten(2).all(2)
        falls = (frames[..., -1] < frames[..., 0]).flatten(2).all(2)
        assert (rises ^ falls).all()
        assert (rises.all(1) | falls.all(1)).all(), "all frames of a sequence are flipped alike"
        seen |= {bool(each) for each in rises[:, 0]}
    assert seen == {True, False}, "sequences of a batch are flipped independently"


def test_still_sequence_stays_still_under_every_augmentation(composed):
    made = composed("data=moving_shapes", "data/augmentation=strong", "data.image_size=8")
    strong = instantiate(made.data.augmentation, _convert_="all")

    class Still(Endless):
        def gather(self, indices, starts=None):
            one = torch.rand(3, 8, 8, generator=torch.manual_seed(int(indices[0])))
            return (255 * one).byte().expand(len(indices), self.num_frames, -1, -1, -1)

    changed = set()
    for frames in taken(batches(Still(), augmentation=strong), 8):
        assert torch.equal(frames, frames[:, :1].expand_as(frames))
        changed.add(bool((frames[0] != frames[1]).any()))
    assert True in changed, "sequences of a batch are changed independently"


def test_updates_are_a_function_of_seed_and_number():
    flip = HorizontalFlip(probability=0.5)
    for store in (stored(), Endless()):
        whole = taken(batches(store, augmentation=flip), 13)
        resumed = taken(batches(store, augmentation=flip, update=7), 6)
        assert all(map(torch.equal, whole[7:], resumed))
        other = taken(batches(store, augmentation=flip, seed=1), 13)
        assert not all(map(torch.equal, whole, other))


def test_two_processes_read_the_batch_of_one():
    flip = HorizontalFlip(probability=0.5)
    for store in (stored(), Endless()):
        one = taken(batches(store, augmentation=flip, batch_size=4), 4)
        two = [
            taken(batches(store, augmentation=flip, rank=rank, world_size=2), 4) for rank in (0, 1)
        ]
        assert all(
            torch.equal(whole, torch.cat(parts))
            for whole, parts in zip(one, zip(*two, strict=True), strict=True)
        )


def test_endless_store_gives_new_sequences_in_every_epoch():
    loader = batches(Endless())
    assert len(loader) == 5
    values = first_values(torch.cat(taken(loader, 20)))[:, 0].tolist()
    assert len(set(values)) == 40
    assert all((b - a) % 251 == 1 for a, b in itertools.pairwise(values))


def test_read_ahead_changes_no_batch():
    assert all(map(torch.equal, taken(batches(), 9), taken(batches(stored(waits=True)), 9)))


def test_before_and_after_are_the_next_frames():
    loader = batches(augmentation=HorizontalFlip(probability=1.0))
    before, after = loader.before_and_after()
    assert before.shape == after.shape == (8, 1, 2, 4)
    assert torch.equal(before.flip(3), after)
    assert torch.equal(taken(loader, 1)[0].flatten(0, 1), after)
    assert len(
        batches(Endless(), batch_size=9, indices=torch.arange(9)).before_and_after()[0]
    ) == (8 * 3)


def test_frames_have_the_memory_layout():
    (frames,) = taken(batches(layout=torch.channels_last), 1)
    assert frames.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(frames, taken(batches(), 1)[0])


@pytest.mark.parametrize("waits", [False, True])
def test_evaluation_reads_the_first_frames_of_each_sequence_once(waits):
    store, indices = stored(waits=waits), torch.tensor([1, 3, 4, 7, 9])
    ranks = [
        list(SequenceEvaluation(
            store, indices, batch_size=2, rank=rank, world_size=2, layout=torch.contiguous_format
        ))
        for rank in (0, 1)
    ]  # fmt: skip
    assert len(ranks[0]) == len(ranks[1])
    found = [batch for rank in ranks for batch in rank]
    assert torch.cat([batch["index"] for batch in found]).tolist() == indices.tolist()
    assert torch.equal(
        torch.cat([batch["frames"] for batch in found]), to_float(store.gather(indices))
    )
