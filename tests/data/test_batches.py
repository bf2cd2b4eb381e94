import itertools

import pytest
import torch

from limner.augmentations import HorizontalFlip
from limner.data.batches import EvaluationBatches, TrainingBatches
from limner.data.store import MemoryStore
from limner.errors import UserError


def numbered(num_images: int) -> MemoryStore:
    """Return images whose label is their number."""
    images = torch.arange(num_images, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    return MemoryStore(images.clone(), torch.arange(num_images), fingerprint="")


def training(
    num_images=100, *, update=0, rank=0, world_size=1, steps=1, seed=0, batch_size=8, augment=None,
    features=None,
):  # fmt: skip
    return TrainingBatches(
        numbered(num_images),
        torch.arange(num_images),
        batch_size=batch_size,
        batches_per_update=steps,
        seed=seed,
        rank=rank,
        world_size=world_size,
        augmentation=augment,
        layout=torch.contiguous_format,
        update=lambda: update,
        features=features,
    )


def labels(batches, count: int) -> list[list[int]]:
    return [batch["label"].tolist() for batch in itertools.islice(iter(batches), count)]


def test_epoch_shows_every_image_once():
    seen = [label for part in labels(training(96), 12) for label in part]
    assert sorted(seen) == list(range(96))
    assert seen != list(range(96))


def test_images_left_out_of_an_epoch_change_from_epoch_to_epoch():
    batches = training(100)
    assert len(batches) == 12
    both = labels(batches, 24)
    left_out = [set(range(100)).difference(*part) for part in (both[:12], both[12:])]
    assert len(left_out[0]) == len(left_out[1]) == 4
    assert left_out[0] != left_out[1]


def test_resumed_batches_equal_batches_that_start_at_the_update():
    """This also holds in the middle of a later epoch."""
    whole = labels(training(), 40)
    for update in (1, 11, 12, 13, 30):
        assert labels(training(update=update), 40 - update) == whole[update:]


def test_order_differs_by_seed_and_epoch():
    first, second = labels(training(96, seed=0), 24), labels(training(96, seed=1), 12)
    assert first[:12] != first[12:]
    assert first[:12] != second


@pytest.mark.parametrize("steps", [1, 3])
def test_ranks_share_the_batch_of_one_process(steps):
    """In every discriminator step the ranks together hold the larger batch of one process."""
    one = training(192, steps=steps, batch_size=16)
    parts = [training(192, rank=rank, world_size=2, steps=steps) for rank in range(2)]
    assert len(one) == len(parts[0]) == 192 // (16 * steps)
    for whole, left, right in zip(
        labels(one, 4), labels(parts[0], 4), labels(parts[1], 4), strict=True
    ):
        for step in range(steps):
            mine = left[8 * step : 8 * step + 8] + right[8 * step : 8 * step + 8]
            assert mine == whole[16 * step : 16 * step + 16]


def test_batches_are_floats_in_the_unit_range():
    batch = next(iter(training(256)))
    assert batch["image"].dtype == torch.float32
    expected = batch["label"].float() / 127.5 - 1
    assert torch.allclose(batch["image"][:, 0, 0, 0], expected)


def mirrored(num_updates=1, *, update=0, **where) -> dict[tuple[int, int], bool]:
    """Return whether each image was mirrored, by its update and its number."""
    batches = training(update=update, augment=HorizontalFlip(probability=0.5), **where)
    ramp = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4).expand(100, 1, 4, 4)
    batches.store = MemoryStore(ramp, torch.arange(100), fingerprint="")
    return {
        (k, number): image[0, 0, 0].item() != -1
        for k, batch in enumerate(itertools.islice(iter(batches), num_updates), start=update)
        for number, image in zip(batch["label"].tolist(), batch["image"], strict=True)
    }


def test_augmentation_is_drawn_for_each_update():
    draws = [list(mirrored(update=update).values()) for update in (5, 5, 6)]
    assert draws[0] == draws[1] != draws[2]
    assert draws[0] != list(mirrored(update=5, seed=1).values())
    assert set(draws[0]) == {True, False}, "each image has its own draw"


@pytest.mark.parametrize("steps", [1, 2])
def test_augmentation_of_an_image_does_not_depend_on_the_number_of_processes(steps):
    one = mirrored(7, steps=steps, batch_size=24)
    ranks = [mirrored(7, steps=steps, rank=rank, world_size=3) for rank in range(3)]
    assert len(one) == 7 * steps * 24 == sum(map(len, ranks))
    assert ranks[0] | ranks[1] | ranks[2] == one


@pytest.mark.parametrize("world_size", [1, 2])
def test_batches_have_the_features_of_their_images(world_size):
    """The features of image i are [i, -i]."""
    numbers = torch.arange(40.0)
    table = torch.stack([numbers, -numbers], dim=1)
    chosen = torch.arange(5, 40)
    for rank in range(world_size):
        shares = {"rank": rank, "world_size": world_size}
        ordered = EvaluationBatches(
            numbered(40), chosen, batch_size=8, layout=torch.contiguous_format, features=table,
            **shares,
        )  # fmt: skip
        drawn = training(40, features=table, **shares)
        for batch in [*ordered, *itertools.islice(drawn, 7)]:
            assert torch.equal(batch["features"][:, 0], batch["label"].float())
            assert torch.equal(batch["features"][:, 1], -batch["label"].float())
        assert "features" not in next(iter(training(40, **shares)))


def test_batch_larger_than_the_data_is_refused():
    match = r"48 images \(data\.batch_size=8 x 3 batches x 2 processes\)"
    with pytest.raises(UserError, match=match):
        training(47, steps=3, world_size=2)


@pytest.mark.parametrize("num_images", [1, 7, 64, 65, 100])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_evaluation_shows_every_image_once_in_equally_many_batches_per_process(
    num_images, world_size
):
    if num_images < world_size:
        return
    ranks = [
        EvaluationBatches(
            numbered(num_images), torch.arange(num_images), batch_size=16, rank=rank,
            world_size=world_size, layout=torch.contiguous_format,
        )
        for rank in range(world_size)
    ]  # fmt: skip
    seen = [label for rank in ranks for part in labels(rank, 100) for label in part]
    assert sorted(seen) == list(range(num_images))
    assert len({len(rank) for rank in ranks}) == 1
    assert all(len(part) > 0 for rank in ranks for part in labels(rank, 100))
