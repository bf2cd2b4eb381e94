import pytest
import torch

from limner.augmentations.flip import HorizontalFlip
from limner.augmentations.pictures import PictureAugmentation
from limner.augmentations.values import Cutout
from limner.data import PictureDataModule, PictureFolder
from limner.errors import UserError
from limner.pixels import to_float
from support import fakes
from support.degradations import Drawer, Grain, Reader
from support.fitting import fit

SIZES = [(20, 16), (17, 24), (16, 16), (30, 18)]


@pytest.fixture
def folder(tmp_path):
    """Return a folder of twelve pictures of four sizes."""
    for i, size in enumerate(SIZES):
        fakes.images(tmp_path / "pictures" / str(i), 3, size=size)
    return tmp_path / "pictures"


@pytest.fixture
def opened(folder):
    """Return a function that opens the pictures with other values of some arguments."""

    def make(**changes):
        arguments = {
            "name": "pictures", "source": PictureFolder(path=str(folder), folder=None),
            "num_channels": 3, "crop_size": 8, "crops_per_picture": 2, "scale": 2,
            "degradation": Grain(factor=2), "image_shape": None, "input_shape": None,
            "num_classes": 0, "batch_size": 4, "augmentation": HorizontalFlip(probability=0.5),
            "validation_fraction": 0.25, "test_fraction": 0.0, "split_seed": 0, "seed": 0,
            "store": "auto", "memory_limit_gib": 1.0, "on_corrupt": "error",
            "background": "white",
        }  # fmt: skip
        data = PictureDataModule(**arguments | changes)
        data.open()
        return data

    return make


def test_facts_are_known_from_the_arguments(opened):
    data = opened(crop_size=12)
    assert (data.image_shape, data.input_shape, data.num_classes) == ([3, 12, 12], [3, 6, 6], 0)
    assert opened(scale=1, degradation=Grain(adds_mask=True)).input_shape == [4, 8, 8]
    opened(crop_size=12, image_shape=[3, 12, 12], input_shape=[3, 6, 6])
    with pytest.raises(UserError, match=r"data\.image_shape=\[3, 64, 64\]: it is \[3, 8, 8\]"):
        opened(image_shape=[3, 64, 64])


def test_model_that_reads_inputs_gets_crops_to_train_on_and_whole_pictures_to_validate_on(opened):
    data = opened()
    seen = fit(Reader(scale=2), data, max_steps=5)
    assert {tuple(b["image"].shape) for b in seen["train"]} == {(4, 3, 8, 8)}
    assert {tuple(b["input"].shape) for b in seen["train"]} == {(4, 3, 4, 4)}
    store, indices = data.pictures("validation")
    assert [b["index"].item() for b in seen["val"]] == indices.tolist()
    for batch in seen["val"]:
        target = to_float(store.picture(batch["index"].item()))
        height, width = (size - size % 2 for size in target.shape[1:])
        assert torch.equal(batch["image"][0], target[:, :height, :width])
        assert batch["input"].shape[2:] == (height // 2, width // 2)


def test_whole_pictures_are_the_validation_batches(opened):
    data = opened()
    seen = fit(Reader(scale=2), data, max_steps=5)["val"]
    found = list(data.whole_pictures("validation", device=torch.device("cpu")))
    assert len(found) == len(seen) == 3
    for a, b in zip(found, seen, strict=True):
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_model_that_draws_gets_images_of_one_shape(opened):
    data = opened()
    seen = fit(Drawer(), data, max_steps=5)
    assert all(b.keys() == {"image"} for stage in seen.values() for b in stage)
    assert {tuple(b["image"].shape) for b in seen["train"]} == {(4, 3, 8, 8)}
    store, indices = data.split("validation")
    images = torch.cat([b["image"] for b in seen["val"]])
    assert torch.equal(images, to_float(store.gather(indices)))


def test_both_kinds_of_models_train_on_the_same_targets(opened):
    drawer, reader = fit(Drawer(), opened())["train"], fit(Reader(scale=2), opened())["train"]
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(drawer, reader, strict=True))


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_batches_have_the_number_format_of_the_training(opened, precision):
    model = Reader(scale=2)
    seen = fit(model, opened(), max_steps=1, precision=precision)
    assert {x.dtype for x in seen["train"][0].values()} == {model.dtype}


def test_splits_cover_all_pictures_and_scores_compare_with_centre_crops(opened):
    data = opened(test_fraction=0.25)
    parts = [data.split(name)[1].tolist() for name in ("train", "validation", "test")]
    assert sorted(parts[0] + parts[1] + parts[2]) == list(range(12))
    store, indices = data.reference("train")
    assert sorted(indices.tolist()) == sorted(parts[0] + parts[1])
    assert store.gather(indices).shape == (9, 3, 8, 8)
    assert data.originals("train")[0] is data.split("train")[0]


@pytest.mark.parametrize(("fraction", "number"), [(0.0, 0), (0.01, 1), (0.25, 3)])
def test_share_above_zero_gives_a_validation_picture(opened, fraction, number):
    data = opened(validation_fraction=fraction, test_fraction=fraction)
    assert [len(data.split(name)[1]) for name in ("validation", "test")] == [number, number]


def test_epoch_counts_crops(opened):
    data = opened(crops_per_picture=5)
    assert data.images_per_epoch == 45
    assert data.describe() == (
        "pictures: 9 train, 3 validation pictures, 45 crops of 3x8x8 an epoch, inputs of 3x4x4"
    )


def test_refuse_names_a_training_picture_that_is_too_small(opened):
    data = opened(crop_size=18)
    with pytest.raises(UserError, match=r"data\.crop_size=18: \d/000\d\.png has only"):
        data.refuse(Reader())
    opened(crop_size=16).refuse(Reader())


def test_refuse_accepts_small_validation_pictures_of_models_that_read_them_whole(tmp_path, opened):
    fakes.images(tmp_path / "more" / "train", 3, size=(16, 16))
    fakes.images(tmp_path / "more" / "val", 2, size=(10, 12))
    data = opened(source=PictureFolder(path=str(tmp_path / "more"), folder=None), crop_size=16)
    data.refuse(Reader())
    with pytest.raises(UserError, match=r"val/0000\.png has only 10x12 pixels"):
        data.refuse(Drawer())


@pytest.mark.parametrize("split", ["validation", "test"])
def test_whole_pictures_of_an_empty_split_are_no_batches(opened, split):
    data = opened(validation_fraction=0.0)
    assert list(data.whole_pictures(split)) == []


def test_splits_of_other_names_are_refused_at_once(opened):
    data = opened()
    for read in (data.whole_pictures, data.pictures, data.split):
        with pytest.raises(
            UserError, match=r"split=validaton: must be train \| validation \| test"
        ):
            read("validaton")


def test_refuse_names_a_part_of_the_augmentation_that_hides_pixels_of_targets(opened):
    parts = {"cut": Cutout(probability=0.5, fraction=0.4)}
    data = opened(augmentation=PictureAugmentation(interpolation="bilinear", parts=parts))
    data.refuse(Drawer())
    with pytest.raises(UserError, match=r"remove it with ~data\.augmentation\.parts\.cut$"):
        data.refuse(Reader(scale=2))
    off = {"cut": Cutout(probability=0.0, fraction=0.4)}
    opened(augmentation=PictureAugmentation(interpolation="bilinear", parts=off)).refuse(
        Reader(scale=2)
    )


def test_resumed_run_refuses_other_pictures(opened, folder):
    state = opened().state_dict()
    opened().load_state_dict(state)
    (folder / "0" / "0000.png").unlink()
    with pytest.raises(UserError, match="training images of pictures differ"):
        opened().load_state_dict(state)
