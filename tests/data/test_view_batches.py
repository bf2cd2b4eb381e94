import itertools

import pytest
import torch

from limner.augmentations.flip import HorizontalFlip
from limner.augmentations.geometry import Flips
from limner.augmentations.pictures import PictureAugmentation
from limner.augmentations.values import Colour
from limner.data.picture_batches import CropBatches, PictureBatches
from limner.data.view_batches import ViewCrops, WholeViews
from limner.data.view_store import ViewStore
from limner.data.views import Shifts
from limner.pixels import to_uint8
from support.degradations import Grain
from support.pairs import store_of_places

SIZES = [(18, 20), (16, 19), (17, 16)]
CROP = 8


def shifts(num_views=3):
    return Shifts(num_views=num_views, max_shift=[1, 1], scale=2)


def crops(*, update=0, rank=0, world_size=1, batch_size=4, steps=1, seed=0, **changes):
    arguments = {
        "crop_size": CROP, "crops_per_picture": 8, "augmentation": None,
        "degradation": Grain(factor=2), "layout": torch.contiguous_format,
        "recolours": (True, True), "shifts": shifts(),
    }  # fmt: skip
    store = changes.pop("store", None) or store_of_places(SIZES)
    return ViewCrops(
        store, torch.arange(len(store)), batch_size=batch_size, batches_per_update=steps,
        seed=seed, rank=rank, world_size=world_size, update=lambda: update, **arguments | changes,
    )  # fmt: skip


def first(batches, number):
    return [batches.finish(raw) for raw in itertools.islice(iter(batches), number)]


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


class Exact:
    """Degradation that keeps every second pixel, so that the views can be read off."""

    factor, adds_mask = 2, False

    def __call__(self, images, *, draws):
        from support.degradations import Degraded

        return Degraded(images[:, :, ::2, ::2].contiguous(), None)

    def protocol(self):
        return {"kind": "every second pixel"}


def test_batch_has_views_of_one_crop_and_the_target_of_the_middle_view():
    (batch,) = first(crops(degradation=Exact()), 1)
    assert {key: tuple(value.shape) for key, value in batch.items()} == {
        "image": (4, 3, 8, 8), "input": (4, 3, 3, 4, 4),
    }  # fmt: skip
    assert torch.equal(batch["input"][:, 1], batch["image"][:, :, ::2, ::2])
    levels = to_uint8(batch["input"]).int()
    moved = levels[:, :, 1:, 0, 0] - levels[:, 1:2, 1:, 0, 0]
    assert (levels[:, :, 0] == levels[:, 1:2, 0]).all(), "one picture"
    assert ((moved >= -2) & (moved < 2)).all()
    assert (moved[:, [0, 2]] % 2).any(-1).all(), "fractions of a pixel of the inputs"


def test_each_view_has_noise_of_its_own_and_the_reference_the_noise_of_a_single_view():
    (three,), (one,) = first(crops(), 1), first(crops(shifts=shifts(1)), 1)
    assert torch.equal(three["image"], one["image"])
    assert torch.equal(three["input"][:, 1], one["input"][:, 0])
    assert not torch.equal(three["input"][:, 0], three["input"][:, 2])


@pytest.mark.parametrize("update", [1, 4, 7])
def test_resumed_stream_equals_the_uninterrupted_stream(update):
    whole, resumed = first(crops(), 9), first(crops(update=update), 9 - update)
    assert all(equal(a, b) for a, b in zip(whole[update:], resumed, strict=True))
    assert not equal(whole[0], first(crops(seed=1), 1)[0])


@pytest.mark.parametrize("steps", [1, 2])
def test_two_processes_read_what_one_process_reads(steps):
    flip = HorizontalFlip(probability=0.5)
    one = first(crops(batch_size=2, steps=steps, augmentation=flip), 2)
    two = [
        first(crops(batch_size=1, world_size=2, rank=r, steps=steps, augmentation=flip), 2)
        for r in (0, 1)
    ]
    for update in range(2):
        joined = {
            key: torch.stack([rank[update][key] for rank in two], dim=1).flatten(0, 1)
            for key in one[update]
        }
        assert equal(one[update], joined)


def test_augmentation_has_one_draw_for_all_stored_views():
    """Equal views stay equal under flips and changes of colour."""
    store = ViewStore(store_of_places([(12, 12)] * 3), torch.tensor([[0, 0, 0], [1, 1, 1]]))
    parts = {
        "flips": Flips(horizontal=0.5, vertical=0.5),
        "colour": Colour(probability=1.0, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
    }
    changes = PictureAugmentation(interpolation="bilinear", parts=parts)
    found = first(crops(store=store, shifts=None, degradation=Exact(), augmentation=changes), 4)
    plain = first(crops(store=store, shifts=None, degradation=Exact()), 4)
    inputs = torch.cat([batch["input"] for batch in found])
    assert torch.equal(inputs, inputs[:, 1:2].expand_as(inputs))
    assert not torch.equal(inputs, torch.cat([batch["input"] for batch in plain]))


def test_before_and_after_show_targets_and_the_reference():
    before, after, read = crops(augmentation=HorizontalFlip(probability=1.0)).before_and_after()
    assert before.shape == after.shape == read.shape == (4, 3, 8, 8)
    assert torch.equal(after, before.flip(-1))


def whole(num_views, *, rank=0, world_size=1, store=None, **changes):
    store = store or store_of_places(SIZES)
    arguments = {"degradation": Grain(factor=2), "shifts": shifts(num_views)} | changes
    batches = WholeViews(
        store, torch.arange(len(store)), scale=2, split_seed=0, rank=rank, world_size=world_size,
        layout=torch.contiguous_format, **arguments,
    )  # fmt: skip
    return [batches.finish(raw) for raw in batches]


def test_whole_pictures_have_fixed_views_and_lack_the_margin():
    found, again = whole(3), whole(3)
    assert all(equal(a, b) for a, b in zip(found, again, strict=True))
    for batch, (height, width) in zip(found, SIZES, strict=True):
        size = (height - 4) // 2 * 2, (width - 4) // 2 * 2
        assert batch["image"].shape == (1, 3, *size)
        assert batch["input"].shape == (1, 3, 3, size[0] // 2, size[1] // 2)
        assert to_uint8(batch["image"])[0, 1:, 0, 0].tolist() == [2, 2], "two pixels are cut"


def test_reference_of_whole_pictures_does_not_depend_on_the_number_of_views():
    for three, one in zip(whole(3), whole(1), strict=True):
        assert torch.equal(three["image"], one["image"])
        assert torch.equal(three["input"][:, 1], one["input"][:, 0])


def test_whole_pictures_of_stored_views_have_all_pixels():
    store = ViewStore(store_of_places([(13, 12)] * 3), torch.tensor([[0, 1, 2]]))
    (batch,) = whole(3, store=store, shifts=None, degradation=Exact())
    assert batch["image"].shape == (1, 3, 12, 12)
    assert to_uint8(batch["input"])[0, :, 0, 0, 0].tolist() == [0, 1, 2]


def test_single_view_of_no_margin_equals_the_data_of_super_resolution():
    """With one stored view, crops and inputs equal the crops and inputs of `CropBatches`."""
    places = store_of_places(SIZES)
    store = ViewStore(places, torch.arange(3)[:, None])
    others = {
        "crop_size": CROP, "crops_per_picture": 8, "augmentation": None,
        "degradation": Grain(factor=2), "layout": torch.contiguous_format,
        "recolours": (True, True), "batch_size": 4, "batches_per_update": 1, "seed": 0,
        "rank": 0, "world_size": 1, "update": lambda: 0,
    }  # fmt: skip
    plain = first(CropBatches(places, torch.arange(3), **others), 3)
    views = first(ViewCrops(store, torch.arange(3), shifts=None, **others), 3)
    for one, other in zip(plain, views, strict=True):
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["input"], other["input"][:, 0])
    pictures = PictureBatches(
        places, torch.arange(3), scale=2, degradation=Grain(factor=2), split_seed=0, rank=0,
        world_size=1, layout=torch.contiguous_format,
    )  # fmt: skip
    for raw, other in zip(pictures, whole(1, store=store, shifts=None), strict=True):
        assert torch.equal(pictures.finish(raw)["input"], other["input"][:, 0])
