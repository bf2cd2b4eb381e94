import itertools

import pytest
import torch

from limner.augmentations.flip import HorizontalFlip
from limner.data.picture_store import PictureStore
from limner.data.unpaired_batches import UnpairedBatches, UnpairedPictures
from limner.errors import UserError
from limner.pixels import to_uint8

CROP = 4


def store_of_numbers(number, *, first, height=6, waits=False):
    """Return pictures whose pixels are all the number of the picture, from `first` on."""
    pixels = torch.arange(first, first + number, dtype=torch.uint8)
    return PictureStore(
        pixels.repeat_interleave(3 * height * 8), torch.tensor([[height, 8]] * number),
        num_channels=3, names=[f"{i}.png" for i in range(number)], fingerprint="", waits=waits,
    )  # fmt: skip


def domains(num_a=5, num_b=12, **options):
    """Return pictures 0, 1, ... of domain a and 100, 101, ... of domain b."""
    return {
        "a": (store_of_numbers(num_a, first=0, **options), torch.arange(num_a)),
        "b": (store_of_numbers(num_b, first=100, **options), torch.arange(num_b)),
    }


def crops(found=None, *, update=0, rank=0, world_size=1, batch_size=2, steps=1, seed=0, **more):
    arguments = {"crops_per_picture": 1, "augmentation": None} | more
    return UnpairedBatches(
        found or domains(), crop_size=CROP, batch_size=batch_size, batches_per_update=steps,
        seed=seed, rank=rank, world_size=world_size, layout=torch.contiguous_format,
        update=lambda: update, **arguments,
    )  # fmt: skip


def first(batches, number):
    return [batches.finish(raw) for raw in itertools.islice(iter(batches), number)]


def numbers(batches, key):
    images = torch.cat([to_uint8(batch[key]) for batch in batches])
    return images[:, 0, 0, 0].tolist()


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def whole(found, *, are_pairs=False, rank=0, world_size=1):
    layout = torch.contiguous_format
    return UnpairedPictures(
        found, are_pairs=are_pairs, rank=rank, world_size=world_size, layout=layout
    )


def test_batch_has_crops_of_both_domains():
    (batch,) = first(crops(), 1)
    assert {key: tuple(value.shape) for key, value in batch.items()} == {
        "image_a": (2, 3, CROP, CROP), "image_b": (2, 3, CROP, CROP),
    }  # fmt: skip
    assert max(numbers([batch], "image_a")) < 5
    assert min(numbers([batch], "image_b")) >= 100


def test_epoch_reads_the_larger_domain_once_and_the_smaller_again_and_again():
    batches = crops()
    assert len(batches) == 6
    seen = first(batches, 12)
    for epoch in (seen[:6], seen[6:]):
        assert sorted(numbers(epoch, "image_b")) == list(range(100, 112))
    found = numbers(seen, "image_a")
    for start in range(0, 24, 4):  # two updates of two crops; one of five pictures is left out
        assert len(set(found[start : start + 4])) == 4
    assert numbers(seen[:6], "image_b") != numbers(seen[6:], "image_b")


def test_domains_of_one_size_have_different_orders_and_places():
    same = store_of_numbers(9, first=0)
    rows, columns = torch.meshgrid(torch.arange(6), torch.arange(8), indexing="ij")
    same.pixels = torch.stack([torch.zeros(6, 8), rows, columns]).byte().flatten().repeat(9)
    (batch,) = first(crops(dict.fromkeys("ab", (same, torch.arange(9))), batch_size=9), 1)
    assert not torch.equal(batch["image_a"], batch["image_b"])
    plain = store_of_numbers(9, first=0)
    (batch,) = first(crops(dict.fromkeys("ab", (plain, torch.arange(9))), batch_size=9), 1)
    found = [numbers([batch], key) for key in ("image_a", "image_b")]
    assert sorted(found[0]) == sorted(found[1])
    assert found[0] != found[1]


def test_each_domain_has_its_own_draws_of_the_augmentation():
    store = store_of_numbers(16, first=0)
    store.pixels = torch.arange(8).repeat(3 * 6 * 16).byte()
    flip = HorizontalFlip(probability=0.5)
    both = dict.fromkeys("ab", (store, torch.arange(16)))
    (batch,) = first(crops(both, batch_size=16, augmentation=flip), 1)
    flipped = [(batch[f"image_{k}"].diff(dim=3) < 0)[:, 0, 0, 0].tolist() for k in "ab"]
    assert set(flipped[0]) == set(flipped[1]) == {True, False}
    assert flipped[0] != flipped[1]


@pytest.mark.parametrize("update", [1, 5, 6, 8])
def test_resumed_stream_equals_the_uninterrupted_stream(update):
    flip = HorizontalFlip(probability=0.5)
    seen = first(crops(augmentation=flip), 10)
    resumed = first(crops(update=update, augmentation=flip), 10 - update)
    assert all(equal(a, b) for a, b in zip(seen[update:], resumed, strict=True))
    assert not all(equal(a, b) for a, b in zip(seen, first(crops(seed=1), 10), strict=True))


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("steps", [1, 2])
def test_two_processes_read_what_one_process_reads(steps, waits):
    flip = HorizontalFlip(probability=0.5)
    common = {"augmentation": flip, "steps": steps, "crops_per_picture": 2}
    ones = first(crops(batch_size=2, **common), 4)
    found = [
        first(crops(domains(waits=waits), batch_size=1, rank=rank, world_size=2, **common), 4)
        for rank in (0, 1)
    ]
    for one, left, right in zip(ones, *found, strict=True):
        for key, images in one.items():
            halves = [each[key].unflatten(0, (steps, 1)) for each in (left, right)]
            assert torch.equal(images, torch.cat(halves, 1).flatten(0, 1))


def test_domain_smaller_than_an_update_is_repeated():
    batches = crops(domains(1, 12), batch_size=4)
    assert len(batches) == 3
    assert numbers(first(batches, 3), "image_a") == [0] * 12
    with pytest.raises(UserError, match="One update needs 16 images"):
        crops(domains(1, 12), batch_size=16)


def test_before_and_after_show_both_domains_by_name():
    flip = HorizontalFlip(probability=1.0)
    found = crops(augmentation=flip).before_and_after()
    assert [*found] == ["A before", "A after", "B before", "B after"]
    for letter, is_b in (("A", False), ("B", True)):
        before, after = (found[f"{letter} {when}"] for when in ("before", "after"))
        assert torch.equal(before.flip(-1), after)
        assert [number >= 100 for number in to_uint8(before)[:, 0, 0, 0].tolist()] == [is_b] * 2


def test_whole_pictures_repeat_the_shorter_domain_without_weight():
    batches = whole(domains(2, 5))
    rows = [batches.finish(raw) for raw in batches]
    assert len(batches) == len(rows) == 5
    assert [row["index_a"].item() for row in rows] == [0, 1, 0, 1, 0]
    assert [row["index_b"].item() for row in rows] == [0, 1, 2, 3, 4]
    assert [row["weight_a"].item() for row in rows] == [1, 1, 0, 0, 0]
    assert [row["weight_b"].item() for row in rows] == [1] * 5
    assert not any(row["is_pair"] for row in rows)
    assert rows[3]["image_b"].shape == (1, 3, 6, 8)
    assert numbers(rows, "image_b") == [100, 101, 102, 103, 104]


@pytest.mark.parametrize("waits", [False, True])
def test_whole_pictures_of_all_processes_count_once(waits):
    found = domains(2, 5, waits=waits)
    parts = [list(whole(found, are_pairs=True, rank=rank, world_size=2)) for rank in (0, 1)]
    assert [len(part) for part in parts] == [3, 3]
    for letter, number in (("a", 2), ("b", 5)):
        counted = [
            row[f"index_{letter}"].item() for part in parts for row in part
            if row[f"weight_{letter}"] > 0
        ]  # fmt: skip
        assert sorted(counted) == list(range(number))
    assert all(row["is_pair"] for part in parts for row in part)
