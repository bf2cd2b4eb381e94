import os
import shutil

import pytest
import torch
from PIL import Image

from limner.config.build import build
from limner.errors import UserError
from support import fakes


@pytest.fixture
def digits(composed):
    def make(*overrides):
        data = build(composed("data=digits", *overrides), "data")
        data.open()
        return data

    return make


@pytest.fixture
def photos(composed, tmp_path):
    """The state of the data module of a folder, or what it says to the state of another."""
    folder = fakes.images(tmp_path / "photos", 12, size=(4, 4), classes=3)

    def state(path=folder, *, saved=None, **overrides):
        given = [f"data.{key}={value}" for key, value in overrides.items()]
        data = build(composed("data=image_folder", f"data.path={path}", *given), "data")
        data.open()
        return data.state_dict() if saved is None else data.load_state_dict(saved)

    return folder, state


def test_splits_do_not_overlap_and_leave_nothing_out(digits):
    data = digits()
    parts = [data.split(name)[1].tolist() for name in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [1437, 180, 180]
    assert sorted(parts[0] + parts[1] + parts[2]) == list(range(1797))


def test_splits_hang_on_split_seed_alone(digits):
    test = digits().split("test")[1]
    assert torch.equal(digits("seed=5").split("test")[1], test)
    assert not torch.equal(digits("data.split_seed=1").split("test")[1], test)


def test_reference_train_is_all_but_the_test_images(digits):
    """Validation images belong to it: papers compare with the whole training set."""
    data = digits()
    reference = data.reference("train")[1]
    assert len(reference) == 1437 + 180
    assert not torch.isin(reference, data.split("test")[1]).any()
    assert torch.equal(data.reference("test")[1], data.split("test")[1])


def test_a_reference_that_is_not_there_is_refused(digits):
    data = digits("data.test_fraction=0.0")
    with pytest.raises(UserError, match="reference_split=test"):
        data.reference("test")


def test_what_the_files_know_is_found(digits):
    data = digits("data.image_shape=null", "data.num_classes=null")
    assert data.image_shape == [1, 8, 8]
    assert data.num_classes == 10
    assert data.describe().startswith("digits: 1,437 train, 180 validation, 180 test images of 1x")


@pytest.mark.parametrize("kind", ["memory", "mapped", "streamed"])
def test_the_images_are_the_same_wherever_they_lie_and_however_they_are_kept(photos, kind):
    folder, state = photos
    saved = state()
    copy = shutil.copytree(folder, folder.with_name("copy"), copy_function=shutil.copy)
    os.utime(copy / "class_0" / "0000.png", (0, 0))
    assert state(copy) == saved
    state(copy, saved=saved, store=kind)
    state(fakes.zipped(folder), saved=saved, store=kind)
    state(saved=state(store=kind))


def test_images_that_have_changed_are_noticed(photos):
    folder, state = photos
    saved = state()
    assert saved["num_images"] == 12
    Image.new("RGB", (4, 4)).save(folder / "class_1" / "0001.png")
    with pytest.raises(UserError, match=r"not those .* began with \(12, as then\)"):
        state(saved=saved)
    (folder / "class_1" / "0001.png").unlink()
    with pytest.raises(UserError, match="12 then, 11 now"):
        state(saved=saved)
    with pytest.raises(UserError, match="12 then, 11 now"):
        state(saved=saved, store="streamed")


def test_other_labels_are_other_images(photos):
    folder, state = photos
    saved = state()
    shutil.move(folder / "class_0" / "0000.png", folder / "class_1" / "0000.png")
    with pytest.raises(UserError, match="as then"):
        state(saved=saved)
