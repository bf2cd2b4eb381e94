import itertools

import pytest
import torch

from limner.augmentations.flip import HorizontalFlip
from limner.augmentations.geometry import Flips, QuarterTurns, Shift
from limner.augmentations.pictures import PictureAugmentation
from limner.augmentations.values import Colour
from limner.data.paired_store import PairedStore
from limner.data.picture_batches import CropBatches, PictureBatches
from limner.data.picture_store import PictureStore
from limner.errors import UserError
from limner.pixels import to_uint8
from support.degradations import Grain
from support.pairs import store_of_places

SIZES = [(9, 14), (12, 10), (10, 10), (11, 13), (16, 9)]
CROP = 8


def crops(*, update=0, rank=0, world_size=1, batch_size=4, steps=1, seed=0, **changes):
    arguments = {
        "crop_size": CROP, "crops_per_picture": 4, "augmentation": None,
        "degradation": Grain(factor=2), "layout": torch.contiguous_format,
        "recolours": (True, True),
    }  # fmt: skip
    store = changes.pop("store", None) or store_of_places(SIZES)
    return CropBatches(
        store, torch.arange(len(store)), batch_size=batch_size, batches_per_update=steps,
        seed=seed, rank=rank, world_size=world_size, update=lambda: update, **arguments | changes,
    )  # fmt: skip


def first(batches, number):
    return [batches.finish(raw) for raw in itertools.islice(iter(batches), number)]


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def corners(batches, number):
    """Return (picture, top, left) of each crop of some updates."""
    images = torch.cat([to_uint8(batch["image"]) for batch in first(batches, number)])
    return images[:, :, 0, 0].tolist()


def test_crops_lie_in_their_pictures_at_every_place():
    images = torch.cat([to_uint8(b["image"]).int() for b in first(crops(), 200)])
    for i, (height, width) in enumerate(SIZES):
        mine = images[images[:, 0, 0, 0] == i]
        assert (mine[:, 0] == i).all()
        steps = mine - mine[:, :, :1, :1]
        expected = torch.arange(CROP, dtype=torch.int32)
        assert (steps[:, 1] == expected[:, None]).all()
        assert (steps[:, 2] == expected).all()
        places = {(top, left) for _, top, left in mine[:, :, 0, 0].tolist()}
        assert places == set(itertools.product(range(height - CROP + 1), range(width - CROP + 1)))


def test_places_are_uniform():
    """Each column of one picture begins as many crops as another, within four sigma."""
    rows = [place for place in corners(crops(), 2000) if place[0] == 0]
    counts = torch.tensor([left for _, _, left in rows]).bincount(minlength=7).double()
    expected = len(rows) / 7
    assert (counts - expected).abs().max() < 4 * (expected * 6 / 7) ** 0.5


def test_epoch_reads_every_picture_as_often_as_asked():
    batches = crops(crops_per_picture=4)
    assert len(batches) == 5
    numbers = torch.tensor([picture for picture, _, _ in corners(batches, 5)])
    assert numbers.bincount().tolist() == [4] * 5


def test_batch_holds_the_targets_and_their_inputs():
    (batch,) = first(crops(), 1)
    assert {key: tuple(value.shape) for key, value in batch.items()} == {
        "image": (4, 3, 8, 8), "input": (4, 3, 4, 4),
    }  # fmt: skip
    assert batch["input"].abs().max() > 1.5, "noise is not clipped"


def test_mask_of_holes_is_a_key_of_the_batch():
    (batch,) = first(crops(degradation=Grain(adds_mask=True)), 1)
    assert batch["mask"].shape == (4, 1, 8, 8)
    assert (batch["input"][batch["mask"].expand(4, 3, 8, 8) == 0] == 0).all()


def test_without_a_degradation_there_is_no_input():
    (batch,) = first(crops(degradation=None), 1)
    assert batch.keys() == {"image"}


def test_each_crop_has_its_own_noise_and_each_update_other_noise():
    found = first(crops(), 2)
    noise = torch.cat([b["input"] - torch.nn.functional.avg_pool2d(b["image"], 2) for b in found])
    assert len({row.sum().item() for row in noise}) == 8
    assert abs(noise.mean()) < 0.2
    assert abs(noise.std() - 1) < 0.2


@pytest.mark.parametrize("update", [1, 4, 5, 7])
def test_resumed_stream_equals_the_uninterrupted_stream(update):
    whole, resumed = first(crops(), 9), first(crops(update=update), 9 - update)
    assert all(equal(a, b) for a, b in zip(whole[update:], resumed, strict=True))
    assert not equal(whole[0], whole[1])
    assert not equal(whole[0], first(crops(seed=1), 1)[0])


@pytest.mark.parametrize("steps", [1, 2])
def test_two_processes_read_what_one_process_reads(steps):
    flip = HorizontalFlip(probability=0.5)
    one = first(crops(batch_size=2, steps=steps, augmentation=flip), 3)
    two = [
        first(crops(batch_size=1, world_size=2, rank=r, steps=steps, augmentation=flip), 3)
        for r in (0, 1)
    ]
    for update in range(3):
        joined = {
            key: torch.stack([rank[update][key] for rank in two], dim=1).flatten(0, 1)
            for key in one[update]
        }
        assert equal(one[update], joined)


def test_augmentation_changes_targets_before_their_inputs_are_made():
    flip = HorizontalFlip(probability=1.0)
    (plain,), (flipped,) = first(crops(), 1), first(crops(augmentation=flip), 1)
    assert torch.equal(flipped["image"], plain["image"].flip(-1))
    noise = plain["input"] - torch.nn.functional.avg_pool2d(plain["image"], 2)
    expected = torch.nn.functional.avg_pool2d(flipped["image"], 2) + noise
    assert torch.allclose(flipped["input"], expected, atol=1e-6)


def test_before_and_after_are_the_first_crops_without_and_with_the_augmentation():
    batches = crops(augmentation=HorizontalFlip(probability=0.5))
    before, after, read = batches.before_and_after()
    (batch,) = first(batches, 1)
    assert torch.equal(before, first(crops(), 1)[0]["image"])
    assert torch.equal(after, batch["image"])
    assert not torch.equal(before, after)
    large = batch["input"].repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(read, large.clamp(-1, 1)), "the input that the model reads"
    assert len(crops(degradation=None).before_and_after()) == 2


def test_reading_ahead_gives_the_same_batches():
    mapped = first(crops(store=store_of_places(SIZES, waits=True)), 6)
    assert all(equal(a, b) for a, b in zip(first(crops(), 6), mapped, strict=True))


def pictures(*, rank=0, world_size=1, indices=(0, 2, 3, 4), split_seed=0, **changes):
    arguments = {"scale": 2, "degradation": Grain(factor=2), "layout": torch.contiguous_format}
    store = changes.pop("store", None) or store_of_places(SIZES)
    return PictureBatches(
        store, torch.tensor(indices), split_seed=split_seed, rank=rank, world_size=world_size,
        **arguments | changes,
    )  # fmt: skip


def test_whole_pictures_come_once_in_order_cut_to_the_scale():
    found = [to_uint8(b["image"]) for b in first(pictures(), 9)]
    assert [tuple(image.shape) for image in found] == [
        (1, 3, 8, 14), (1, 3, 10, 10), (1, 3, 10, 12), (1, 3, 16, 8),
    ]  # fmt: skip
    assert [image[0, :, 0, 0].tolist() for image in found] == [[i, 0, 0] for i in (0, 2, 3, 4)]


def test_three_times_sizes_that_do_not_divide_are_cut():
    (batch, *_) = first(pictures(scale=3, degradation=Grain(factor=3)), 9)
    assert batch["image"].shape == (1, 3, 9, 12)
    assert batch["input"].shape == (1, 3, 3, 4)


def test_input_of_a_whole_picture_is_the_same_in_every_validation_and_order():
    again, other = first(pictures(), 4), first(pictures(indices=(3, 0)), 2)
    assert all(equal(a, b) for a, b in zip(again, first(pictures(), 4), strict=True))
    assert equal(again[2], other[0])
    assert equal(again[0], other[1])
    assert not equal(again[0], first(pictures(split_seed=1), 1)[0])


def test_ranks_share_the_pictures_and_the_short_rank_repeats_one_without_weight():
    ranks = [first(pictures(indices=(0, 2, 3), rank=r, world_size=2), 9) for r in (0, 1)]
    found = [[(b["index"].item(), b["weight"].item()) for b in batches] for batches in ranks]
    assert found == [[(0, 1.0), (2, 1.0)], [(3, 1.0), (3, 0.0)]]
    one = {b["index"].item(): b for b in first(pictures(indices=(0, 2, 3)), 9)}
    for batch in itertools.chain(*ranks):
        assert torch.equal(batch["input"], one[batch["index"].item()]["input"])


def test_mapped_pictures_are_read_ahead_and_equal():
    mapped = first(pictures(store=store_of_places(SIZES, waits=True)), 4)
    assert all(equal(a, b) for a, b in zip(first(pictures(), 4), mapped, strict=True))


def test_picture_smaller_than_the_scale_is_refused():
    with pytest.raises(UserError, match=r"data\.scale=4: 1\.png has only 9x3 pixels"):
        pictures(store=store_of_places([(8, 8), (3, 9)]), indices=(0, 1), scale=4)


MOVES = {
    "flips": Flips(horizontal=0.5, vertical=0.5),
    "turns": QuarterTurns(probability=1.0),
    "shift": Shift(probability=1.0, max_fraction=0.3),
}
COLOUR = Colour(probability=1.0, brightness=0.5, contrast=0.5, saturation=0.0, hue=0.0)


def stored_pairs(scale=2, *, waits=False):
    """Return pairs whose targets are twice as large, with the place of each input's pixel."""
    inputs = store_of_places(SIZES, waits=waits)
    large = [
        inputs.picture(i).repeat_interleave(scale, 1).repeat_interleave(scale, 2)
        for i in range(len(SIZES))
    ]
    targets = PictureStore(
        torch.cat([each.flatten() for each in large]), scale * torch.tensor(SIZES),
        num_channels=3, names=inputs.names, fingerprint="large", waits=waits,
    )  # fmt: skip
    return PairedStore(inputs, targets, scale=scale)


def pairs(scale=2, **changes):
    arguments = {"degradation": None, "crop_size": scale * CROP, "store": stored_pairs(scale)}
    return crops(**arguments | changes)


def are_alike(batch, scale):
    """Return whether each target shows what its input shows."""
    repeated = batch["input"].repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    return torch.equal(repeated, batch["image"])


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("moves", [None, *MOVES, "flip"])
def test_stored_inputs_are_cut_and_moved_as_their_targets(scale, moves):
    known = {name: PictureAugmentation(interpolation="bilinear", parts={name: part})
             for name, part in MOVES.items()}  # fmt: skip
    known["flip"] = HorizontalFlip(probability=0.5)
    found = first(pairs(scale, augmentation=known.get(moves)), 6)
    assert {tuple(b["input"].shape) for b in found} == {(4, 3, CROP, CROP)}
    assert {tuple(b["image"].shape[2:]) for b in found} == {(scale * CROP, scale * CROP)}
    assert all(are_alike(batch, scale) for batch in found)
    plain = first(pairs(scale), 6)
    moved = any(not equal(a, b) for a, b in zip(plain, found, strict=True))
    assert moved == (moves is not None)


def test_crops_of_stored_pairs_begin_at_every_pixel_of_the_input():
    found = torch.cat([to_uint8(b["input"]) for b in first(pairs(), 300)])
    for i, (height, width) in enumerate(SIZES):
        places = {tuple(p[1:]) for p in found[:, :, 0, 0].tolist() if p[0] == i}
        assert places == set(itertools.product(range(height - CROP + 1), range(width - CROP + 1)))


@pytest.mark.parametrize("recolours", [(False, False), (True, False), (False, True), (True, True)])
def test_colours_change_only_where_they_may_and_alike_on_both_sides(recolours):
    changes = PictureAugmentation(interpolation="bilinear", parts={"colour": COLOUR})
    (plain,) = first(pairs(), 1)
    (batch,) = first(pairs(augmentation=changes, recolours=recolours), 1)
    changed = tuple(not torch.equal(batch[key], plain[key]) for key in ("input", "image"))
    assert changed == recolours
    assert are_alike(batch, 2) == (recolours[0] == recolours[1])


@pytest.mark.parametrize("update", [1, 5])
def test_resumed_stream_of_pairs_equals_the_uninterrupted_stream(update):
    flip = HorizontalFlip(probability=0.5)
    whole = first(pairs(augmentation=flip), 9)
    resumed = first(pairs(augmentation=flip, update=update), 9 - update)
    assert all(equal(a, b) for a, b in zip(whole[update:], resumed, strict=True))
    ahead = first(pairs(augmentation=flip, store=stored_pairs(waits=True)), 9)
    assert all(equal(a, b) for a, b in zip(whole, ahead, strict=True))


@pytest.mark.parametrize("steps", [1, 2])
def test_two_processes_read_the_pairs_that_one_process_reads(steps):
    flip = HorizontalFlip(probability=0.5)
    one = first(pairs(batch_size=2, steps=steps, augmentation=flip), 3)
    two = [
        first(pairs(batch_size=1, world_size=2, rank=r, steps=steps, augmentation=flip), 3)
        for r in (0, 1)
    ]
    for update in range(3):
        joined = {
            key: torch.stack([rank[update][key] for rank in two], dim=1).flatten(0, 1)
            for key in one[update]
        }
        assert equal(one[update], joined)


def test_pairs_before_and_after_the_augmentation_show_the_input_beside_its_target():
    before, after = pairs(augmentation=HorizontalFlip(probability=1.0)).before_and_after()
    assert before.shape == after.shape == (4, 3, 2 * CROP, 4 * CROP)
    read, image = before.chunk(2, dim=3)
    assert torch.equal(read, image)
    assert torch.equal(after, torch.cat([read.flip(-1), image.flip(-1)], dim=3))


def test_whole_pairs_come_once_in_order_and_several_processes_share_them():
    found = first(pictures(store=stored_pairs(), degradation=None), 9)
    assert [b["index"].item() for b in found] == [0, 2, 3, 4]
    assert all(are_alike(batch, 2) for batch in found)
    assert [tuple(b["input"].shape[2:]) for b in found] == [SIZES[i] for i in (0, 2, 3, 4)]
    ranks = [
        first(pictures(store=stored_pairs(), degradation=None, indices=(0, 2, 3), rank=r,
                       world_size=2), 9)
        for r in (0, 1)
    ]  # fmt: skip
    shared = [[(b["index"].item(), b["weight"].item()) for b in batches] for batches in ranks]
    assert shared == [[(0, 1.0), (2, 1.0)], [(3, 1.0), (3, 0.0)]]
    assert equal(ranks[0][1], found[1])
