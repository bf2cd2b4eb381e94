import shutil
import warnings

import lightning as L
import pytest
import torch

from limner.augmentations.flip import HorizontalFlip
from limner.data import DomainFolders, UnpairedDataModule
from limner.errors import UserError
from limner.pixels import to_float
from support import fakes
from support.domains import Translator

SIZES = [(20, 16), (17, 24), (16, 16)]


@pytest.fixture
def folder(tmp_path):
    """Return a folder of two domains: 9 pictures in A, and 15 in B, where 9 have equal names."""
    for domain, number in (("A", 3), ("B", 5)):
        for i, size in enumerate(SIZES):
            fakes.images(tmp_path / "both" / domain / str(i), number, size=size)
    return tmp_path / "both"


@pytest.fixture
def opened(folder):
    """Return a function that opens both domains with other values of some arguments."""

    def make(path=folder, **changes):
        source = DomainFolders(path=str(path), path_b=None, folder_a="A", folder_b="B")
        arguments = {
            "name": "both", "source": source, "num_channels": 3, "crop_size": 8,
            "crops_per_picture": 2, "hidden_pairs": True, "group": None, "image_shape": None,
            "input_shape": None, "num_classes": 0, "scale": 1, "batch_size": 4,
            "augmentation": HorizontalFlip(probability=0.5), "validation_fraction": 0.25,
            "test_fraction": 0.0, "split_seed": 0, "seed": 0, "store": "auto",
            "memory_limit_gib": 1.0, "on_corrupt": "error", "background": "white",
        }  # fmt: skip
        data = UnpairedDataModule(**arguments | changes)
        data.open()
        return data

    return make


def fit(model, data, *, max_steps=4, **options):
    with warnings.catch_warnings(action="ignore"):
        trainer = L.Trainer(
            max_steps=max_steps, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
            **options,
        )  # fmt: skip
        trainer.fit(model, data)
    return model.seen


def key(name):
    return name.partition("/")[2]


def test_facts_are_known_from_the_arguments(opened):
    data = opened(crop_size=12, num_channels=1)
    assert (data.image_shape, data.input_shape, data.num_classes) == ([1, 12, 12], [1, 12, 12], 0)
    with pytest.raises(UserError, match=r"data\.image_shape=\[3, 64, 64\]: it is \[3, 8, 8\]"):
        opened(image_shape=[3, 64, 64])
    with pytest.raises(UserError, match=r"data\.scale=2: must be 1"):
        opened(scale=2)


def test_model_gets_crops_to_train_on_and_hidden_pairs_to_validate_on(opened):
    data = opened()
    seen = fit(Translator(), data, max_steps=6)
    assert {tuple(b[f"image_{k}"].shape) for b in seen["train"] for k in "ab"} == {(4, 3, 8, 8)}
    assert len(seen["val"]) == 2
    for batch in seen["val"]:
        assert batch["is_pair"]
        names = []
        for letter in "ab":
            store, indices = data.pictures(letter, "validation")
            number = batch[f"index_{letter}"].item()
            assert number in indices.tolist()
            assert torch.equal(batch[f"image_{letter}"][0], to_float(store.picture(number)))
            names.append(key(store.names[number]))
        assert names[0] == names[1]


def test_no_name_of_a_hidden_pair_is_trained(opened):
    data = opened(test_fraction=0.2)
    held = set()
    for split in ("validation", "test"):
        store, indices = data.pictures("a", split)
        held |= {key(store.names[i]) for i in indices.tolist()}
    assert len(held) == 4
    for letter, number in (("a", 5), ("b", 11)):
        store, indices = data.pictures(letter, "train")
        trained = {key(store.names[i]) for i in indices.tolist()}
        assert len(trained) == number
        assert not trained & held


def test_whole_pictures_are_the_validation_batches(opened):
    data = opened(hidden_pairs=False)
    seen = fit(Translator(), data, max_steps=6)["val"]
    found = list(data.whole_pictures("validation", device=torch.device("cpu")))
    assert len(found) == len(seen) == 4, "the larger domain"
    for a, b in zip(found, seen, strict=True):
        for name, value in a.items():
            assert torch.equal(value, b[name]) if isinstance(value, torch.Tensor) else True
    assert [batch["weight_a"].item() for batch in seen] == [1, 1, 0, 0]
    assert not seen[0]["is_pair"]


def test_whole_pictures_of_an_empty_split_are_no_batches_and_other_splits_are_refused(opened):
    data = opened(hidden_pairs=False, validation_fraction=0.0)
    assert list(data.whole_pictures("validation")) == []
    with pytest.raises(UserError, match="split=val: must be train"):
        data.whole_pictures("val")


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_batches_have_the_number_format_of_the_training(opened, precision):
    model = Translator()
    seen = fit(model, opened(), max_steps=6, precision=precision)
    assert {seen[stage][0][f"image_{k}"].dtype for stage in seen for k in "ab"} == {model.dtype}


def test_domain_gives_centre_crops_of_one_size(opened):
    data = opened()
    for letter, number in (("a", 7), ("b", 13)):
        store, indices = data.domain(letter, "train")
        assert store.gather(indices).shape == (number, 3, 8, 8)
    assert data.split("train")[1].tolist() == data.domain("b", "train")[1].tolist()
    assert len(data.reference("train")[1]) == 15, "validation pictures belong to it, as published"


def test_epoch_counts_crops_of_the_larger_domain(opened):
    data = opened(crops_per_picture=5)
    assert data.images_per_epoch == 65
    assert data.describe() == (
        "both: 7 and 13 train, 2 and 2 validation pictures (hidden pairs), 65 crops of 3x8x8 an "
        "epoch"
    )
    assert "hidden" not in opened(hidden_pairs=False).describe()


def test_domain_without_validation_pictures_is_not_validated(opened):
    seen = fit(Translator(), opened(validation_fraction=0.0), max_steps=7)
    assert seen["train"]
    assert not seen["val"]


def test_refuse_names_a_training_picture_that_is_too_small(opened):
    with pytest.raises(UserError, match=r"data\.crop_size=18: A/\d/000\d\.png has only"):
        opened(crop_size=18).refuse(Translator())
    opened(crop_size=16).refuse(Translator())


def test_refuse_names_a_validation_picture_that_is_too_small(opened, folder):
    for split, size in (("train", (16, 16)), ("val", (10, 12))):
        for domain in "AB":
            fakes.images(folder / split / domain, 9, size=size)
    for domain in "AB":
        shutil.rmtree(folder / domain)
    with pytest.raises(UserError, match=r"val/A/0000\.png has only 10x12 pixels"):
        opened(crop_size=16).refuse(Translator())


def test_refuse_names_a_hidden_pair_of_two_sizes(opened, folder):
    fakes.images(folder / "B" / "0", 5, size=(30, 30))
    data = opened(validation_fraction=0.9)
    with pytest.raises(UserError, match=r"pairs have two sizes, such as\nA/0/0.*\.png with 20x16"):
        data.refuse(Translator())
    opened(hidden_pairs=False).refuse(Translator())


def test_resumed_run_refuses_other_pictures_of_either_domain(opened, folder):
    state = opened().state_dict()
    opened().load_state_dict(state)
    (folder / "B" / "0" / "0004.png").unlink()
    with pytest.raises(UserError, match=r"training images of both, domain b, differ .*15 before"):
        opened().load_state_dict(state)


def test_copy_of_the_pictures_is_the_same_data(opened, folder, tmp_path):
    state = opened().state_dict()
    folder.rename(tmp_path / "moved")
    opened(tmp_path / "moved").load_state_dict(state)
