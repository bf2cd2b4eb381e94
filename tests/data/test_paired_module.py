"""Stored pairs become the batches of a model that reads inputs."""

import numpy as np
import pytest
import torch
from PIL import Image

from limner.augmentations.flip import HorizontalFlip
from limner.data import PairedDataModule, PairedFolder
from limner.errors import UserError
from limner.pixels import to_uint8
from support.degradations import Drawer, Reader
from support.fitting import fit

SIZES = [(10, 8), (9, 12), (8, 8), (15, 9)]
SCALE = 2


@pytest.fixture
def folder(tmp_path):
    """Write twelve pairs of four sizes; a target is its input, twice as large and inverted."""
    random = np.random.default_rng(0)
    for side in ("in", "out"):
        (tmp_path / side).mkdir()
    for i in range(12):
        height, width = SIZES[i % 4]
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        name = f"thing{i // 3}_{i % 3}.png"
        Image.fromarray(pixels).save(tmp_path / "in" / name)
        large = (255 - pixels).repeat(SCALE, 0).repeat(SCALE, 1)
        Image.fromarray(large).save(tmp_path / "out" / name)
    return tmp_path


@pytest.fixture
def opened(folder):
    """Return a function that opens the pairs with other values of some arguments."""

    def make(**changes):
        source = PairedFolder(
            path=str(folder), layout="folders", input_folder="in", target_folder="out",
            input_side="left",
        )  # fmt: skip
        arguments = {
            "name": "pairs", "source": source, "num_channels": 3, "input_channels": 3,
            "crop_size": 8, "crops_per_picture": 2, "scale": SCALE, "image_shape": None,
            "input_shape": None, "num_classes": 0, "batch_size": 4,
            "augmentation": HorizontalFlip(probability=0.5), "recolour": "none", "group": None,
            "validation_fraction": 0.25, "test_fraction": 0.0, "split_seed": 0, "seed": 0,
            "store": "auto", "memory_limit_gib": 1.0, "on_corrupt": "error",
            "background": "white",
        }  # fmt: skip
        data = PairedDataModule(**arguments | changes)
        data.open()
        return data

    return make


def inverted(batch):
    """Return the inputs of a batch as their targets would be, uint8."""
    read = 255 - to_uint8(batch["input"])
    return read.repeat_interleave(SCALE, 2).repeat_interleave(SCALE, 3)


def test_crops_to_train_on_and_whole_pictures_to_validate_on_are_pairs(opened):
    data = opened()
    seen = fit(Reader(scale=SCALE), data, max_steps=5)
    assert {tuple(b["image"].shape) for b in seen["train"]} == {(4, 3, 8, 8)}
    assert {tuple(b["input"].shape) for b in seen["train"]} == {(4, 3, 4, 4)}
    assert all(torch.equal(inverted(b), to_uint8(b["image"])) for b in seen["train"])
    store, indices = data.pictures("validation")
    assert [b["index"].item() for b in seen["val"]] == indices.tolist()
    for batch in seen["val"]:
        assert torch.equal(to_uint8(batch["image"][0]), store.picture(batch["index"].item()))
        assert torch.equal(inverted(batch), to_uint8(batch["image"]))


def test_whole_pictures_are_the_validation_batches(opened):
    data = opened()
    seen = fit(Reader(scale=SCALE), data, max_steps=5)["val"]
    found = list(data.whole_pictures("validation", device=torch.device("cpu")))
    assert len(found) == len(seen) == 3
    for a, b in zip(found, seen, strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(("inputs", "targets"), [(1, 3), (3, 1), (1, 1)])
def test_inputs_may_have_another_number_of_channels_than_targets(opened, inputs, targets):
    data = opened(input_channels=inputs, num_channels=targets)
    assert data.input_shape == [inputs, 4, 4]
    assert data.image_shape == [targets, 8, 8]
    (batch, *_) = data.whole_pictures("validation", device=torch.device("cpu"))
    assert (batch["input"].shape[1], batch["image"].shape[1]) == (inputs, targets)


def test_model_that_draws_gets_the_targets_alone(opened):
    seen = fit(Drawer(), opened(), max_steps=5)
    assert all(b.keys() == {"image"} for stage in seen.values() for b in stage)
    reader = fit(Reader(scale=SCALE), opened(), max_steps=5)["train"]
    assert {tuple(b["image"].shape) for b in seen["train"]} == {tuple(reader[0]["image"].shape)}


def test_pairs_of_one_group_stay_in_one_split(opened):
    data = opened(group="^(thing.)_", validation_fraction=0.25, test_fraction=0.25)
    names = data.pictures("train")[0].names
    things = [
        {names[i].split("/")[1][:6] for i in data.pictures(split)[1].tolist()}
        for split in ("train", "validation", "test")
    ]
    assert [len(found) for found in things] == [2, 1, 1]
    assert len(set().union(*things)) == 4
    with pytest.raises(UserError, match=r"data\.group=\^things: needs parentheses"):
        opened(group="^things")


def test_facts_and_description_are_known_from_the_arguments(opened):
    data = opened(input_channels=1)
    assert data.describe() == (
        "pairs: 9 train, 3 validation pictures, 18 crops of 3x8x8 an epoch, stored inputs of 1x4x4"
    )
    assert data.protocol() == {"scale": 2, "degradation": None, "inputs": "stored"}
    opened(image_shape=[3, 8, 8], input_shape=[3, 4, 4])
    with pytest.raises(UserError, match=r"data\.input_shape=\[3, 9, 9\]: it is \[3, 4, 4\]"):
        opened(input_shape=[3, 9, 9])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_channels": 2}, r"data\.input_channels=2: must be 1 \(grey\) or 3"),
        ({"recolour": "some"}, r"data\.recolour=some: must be none \| input \| target \| both"),
        ({"scale": 3}, r"data\.crop_size=8: must be a multiple of data\.scale=3, such as 9"),
        ({"scale": 1}, r"data\.scale=2 fits all pairs"),
        ({"augmentation": lambda images, *, uniform: images}, "has no method apply_all"),
    ],
)
def test_arguments_that_fit_no_pairs_are_refused(opened, changes, message):
    with pytest.raises(UserError, match=message):
        opened(**changes)


def test_crop_larger_than_a_training_picture_is_refused_with_a_size_that_fits(opened):
    data = opened(crop_size=18)
    with pytest.raises(UserError, match=r"data\.crop_size=18: out/.* has only .*\n.* of 16 at"):
        data.refuse(Reader())
    opened(crop_size=16).refuse(Reader())


def test_missing_partner_is_refused_when_the_data_are_opened(opened, folder):
    (folder / "out" / "thing0_1.png").unlink()
    with pytest.raises(UserError, match=r"1 of 12 inputs has no target .*\n  in/thing0_1\.png"):
        opened()


@pytest.mark.parametrize("side", ["in", "out"])
def test_resumed_run_refuses_other_pictures_of_either_side(opened, folder, side):
    state = opened().state_dict()
    opened().load_state_dict(state)
    path = folder / side / "thing0_0.png"
    with Image.open(path) as picture:
        picture.rotate(180).save(path)
    with pytest.raises(UserError, match="training images of pairs differ"):
        opened().load_state_dict(state)


def test_pictures_of_a_run_may_move_and_be_packed(opened, folder, tmp_path_factory):
    state = opened().state_dict()
    moved = tmp_path_factory.mktemp("elsewhere") / "data"
    folder.rename(moved)
    source = PairedFolder(
        path=str(moved), layout="folders", input_folder="in", target_folder="out",
        input_side="left",
    )  # fmt: skip
    opened(source=source).load_state_dict(state)
