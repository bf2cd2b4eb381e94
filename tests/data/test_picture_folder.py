import logging

import pytest

from limner.data.picture_folder import PictureFolder
from limner.errors import UserError
from support import fakes


def names_in(path, folder=None):
    found = PictureFolder(path=str(path), folder=folder).pictures()
    return {split: list(pictures.names) for split, pictures in found.items()}


@pytest.fixture
def pairs(tmp_path):
    for name in ("HR", "LR_x4"):
        fakes.images(tmp_path / "pairs" / name, 2)
    return tmp_path / "pairs"


def test_pairs_give_the_pictures_of_high_resolution_and_a_line(pairs, caplog):
    with caplog.at_level(logging.INFO):
        assert names_in(pairs) == {"train": ["HR/0000.png", "HR/0001.png"]}
    assert "the 2 pictures in HR are read,\nand the 2 beside them are not" in caplog.text


def test_pairs_in_a_zip_file_and_with_long_names_are_found(tmp_path):
    for name in ("DIV2K_train_HR", "DIV2K_train_LR_bicubic/X4"):
        fakes.images(tmp_path / "div2k" / name, 1)
    assert names_in(fakes.zipped(tmp_path / "div2k")) == {"train": ["DIV2K_train_HR/0000.png"]}


def test_folder_chooses_at_any_depth(pairs):
    assert names_in(pairs, "LR_x4") == {"train": ["LR_x4/0000.png", "LR_x4/0001.png"]}


def test_folder_that_is_not_there_is_refused_with_the_folders(pairs):
    with pytest.raises(UserError, match=r"data\.folder=GT: .*\nIts folders: HR, LR_x4"):
        names_in(pairs, "GT")


def test_other_folders_are_all_read_without_labels(tmp_path):
    root = fakes.images(tmp_path / "photos", 6, classes=3)
    pictures = PictureFolder(path=str(root), folder=None).pictures()["train"]
    assert len(pictures) == 6
    assert pictures.labels is None
    assert pictures.classes == []


def test_folders_of_splits_are_splits(tmp_path):
    for split, number in (("train", 3), ("val", 2), ("test", 1)):
        for kind in ("HR", "LR_x2"):
            fakes.images(tmp_path / "data" / split / kind, number)
    found = names_in(tmp_path / "data")
    assert {split: len(names) for split, names in found.items()} == {
        "train": 3, "validation": 2, "test": 1,
    }  # fmt: skip
    assert all("/HR/" in name for names in found.values() for name in names)
