import copy
import dataclasses
import functools
import os
import shutil
from types import SimpleNamespace

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from limner.augmentations import HorizontalFlip
from limner.config.build import build
from limner.config.schema import CONFIG_DIR, register
from limner.data import ImageDataModule, ImageFolder
from limner.errors import UserError
from support import fakes


@functools.cache
def composed_once(*overrides):
    register()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("train", overrides=list(overrides))


@pytest.fixture
def digits():
    """Return a function that opens the digits with other values of some keys."""

    def make(**changes):
        config = copy.deepcopy(composed_once("data=digits"))
        for key, value in changes.items():
            OmegaConf.update(config, key.replace("__", "."), value)
        data = build(config, "data")
        data.open()
        return data

    return make


@pytest.fixture
def photos(tmp_path):
    """Return a folder, and a function that returns or loads the state of its data module."""
    folder = fakes.images(tmp_path / "photos", 12, size=(4, 4), classes=3)

    def state(path=folder, *, saved=None, **overrides):
        config = copy.deepcopy(composed_once("data=image_folder", "data.path=unused"))
        for key, value in ({"path": str(path)} | overrides).items():
            OmegaConf.update(config, f"data.{key}", value)
        data = build(config, "data")
        data.open()
        return data.state_dict() if saved is None else data.load_state_dict(saved)

    return folder, state


def test_open_names_a_source_without_images():
    data = build(copy.deepcopy(composed_once("data=digits")), "data")
    whole = data.source.pictures()["train"]
    nothing = dataclasses.replace(whole, names=[], labels=[], classes=[])
    data.source.pictures = lambda: {"train": nothing}
    with pytest.raises(UserError, match=r"data\.source=.*Digits finds no training images"):
        data.open()


def test_splits_do_not_overlap_and_cover_all_images(digits):
    data = digits()
    parts = [data.split(name)[1].tolist() for name in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [1437, 180, 180]
    assert sorted(parts[0] + parts[1] + parts[2]) == list(range(1797))


def test_splits_depend_only_on_split_seed(digits):
    test = digits().split("test")[1]
    assert torch.equal(digits(seed=5).split("test")[1], test)
    assert not torch.equal(digits(data__split_seed=1).split("test")[1], test)


def test_reference_train_is_all_images_except_the_test_images(digits):
    """Validation images belong to the reference: papers compare with the whole training set."""
    data = digits()
    reference = data.reference("train")[1]
    assert len(reference) == 1437 + 180
    assert not torch.isin(reference, data.split("test")[1]).any()
    assert torch.equal(data.reference("test")[1], data.split("test")[1])


def test_missing_reference_is_refused(digits):
    data = digits(data__test_fraction=0.0)
    with pytest.raises(UserError, match="reference_split=test"):
        data.reference("test")


def test_data_module_infers_shape_and_classes_from_the_files(digits):
    data = digits(data__image_shape=None, data__num_classes=None)
    assert data.image_shape == [1, 8, 8]
    assert data.num_classes == 10
    assert data.describe().startswith("digits: 1,437 train, 180 validation, 180 test images of 1x")


@pytest.mark.parametrize("kind", ["memory", "mapped", "streamed"])
def test_fingerprint_is_the_same_wherever_the_files_lie_and_however_they_are_stored(photos, kind):
    folder, state = photos
    saved = state()
    copy = shutil.copytree(folder, folder.with_name("copy"), copy_function=shutil.copy)
    os.utime(copy / "class_0" / "0000.png", (0, 0))
    assert state(copy) == saved
    state(copy, saved=saved, store=kind)
    state(fakes.zipped(folder), saved=saved, store=kind)
    state(saved=state(store=kind))


def test_data_module_notices_changed_images(photos):
    folder, state = photos
    saved = state()
    assert saved["num_images"] == 12
    Image.new("RGB", (4, 4)).save(folder / "class_1" / "0001.png")
    with pytest.raises(UserError, match=r"differ from those at the start .*\(12, as before\)"):
        state(saved=saved)
    (folder / "class_1" / "0001.png").unlink()
    with pytest.raises(UserError, match="12 before, 11 now"):
        state(saved=saved)
    with pytest.raises(UserError, match="12 before, 11 now"):
        state(saved=saved, store="streamed")


def test_data_module_notices_changed_labels(photos):
    folder, state = photos
    saved = state()
    shutil.move(folder / "class_0" / "0000.png", folder / "class_1" / "0000.png")
    with pytest.raises(UserError, match="as before"):
        state(saved=saved)


def folder_module(path, **options):
    arguments = {
        "name": "photos", "source": ImageFolder(path=str(path)), "image_shape": None,
        "num_classes": None, "batch_size": 2, "augmentation": None, "binarisation": None,
        "validation_fraction": 0.0, "test_fraction": 0.0, "split_seed": 0, "seed": 0,
        "store": "auto", "memory_limit_gib": 1.0, "on_corrupt": "error", "background": "white",
    }  # fmt: skip
    return ImageDataModule(**{**arguments, **options})


def test_open_refuses_a_picture_beside_class_folders_unless_labels_are_off(tmp_path):
    folder = fakes.images(tmp_path / "photos", 6, classes=2)
    Image.new("RGB", (8, 8)).save(folder / "cover.png")
    with pytest.raises(UserError, match=r"cover\.png of 7 images are outside") as error:
        folder_module(folder).open()
    assert "data.num_classes=0" in str(error.value)
    data = folder_module(folder, num_classes=0)
    data.open()
    assert data.num_classes == 0
    assert len(data.split("train")[1]) == 7


def test_open_refuses_a_class_that_has_only_validation_images(tmp_path):
    for name in ("train/cat", "train/dog", "val/Cat", "val/dog"):
        fakes.images(tmp_path / name, 2)
    with pytest.raises(UserError, match="there is no Cat in train; the nearest there is cat"):
        folder_module(tmp_path).open()


def test_open_with_no_classes_drops_labels_and_keeps_the_stores_apart(tmp_path):
    folder = fakes.images(tmp_path / "photos", 6, classes=2)
    with_labels, without = folder_module(folder), folder_module(folder, num_classes=0)
    for data in (with_labels, without, folder_module(folder)):
        data.open()
    assert with_labels.split("train")[0].labels is not None
    assert without.split("train")[0].labels is None
    assert without.num_classes == 0


def test_background_is_checked_before_the_data_is_read(tmp_path):
    with pytest.raises(UserError, match=r"data\.background=whitish: must be a colour"):
        folder_module(tmp_path / "nowhere", background="whitish")


class Brightness:
    """Frozen network whose feature is the mean of an image."""

    num_features = 1

    def facts(self):
        return ["brightness"]

    def features(self, images):
        return images.mean((1, 2, 3))[:, None]


@pytest.mark.parametrize(
    ("options", "kept"),
    [({}, True), ({"augmentation": HorizontalFlip(probability=0.5)}, False),
     ({"binarisation": "static"}, False)],
)  # fmt: skip
def test_features_are_kept_only_if_images_are_the_same_in_every_epoch(digits, options, kept):
    data = digits()
    for name, value in options.items():
        setattr(data, name, value)
    assert data.keep_features(Brightness(), torch.device("cpu")) is kept
    data.trainer = SimpleNamespace(
        strategy=SimpleNamespace(root_device=torch.device("cpu")), lightning_module=None,
        global_rank=0, world_size=1, global_step=0,
    )  # fmt: skip
    for loader in (data.train_dataloader(), data.val_dataloader()):
        batch = next(iter(loader))
        assert ("features" in batch) is kept
        if kept:
            expected = batch["image"].mean((1, 2, 3))[:, None]
            torch.testing.assert_close(batch["features"], expected)
