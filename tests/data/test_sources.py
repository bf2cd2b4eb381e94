import logging

import pytest
from PIL import Image

from limner.data import Digits, ImageFolder
from limner.errors import UserError
from support import fakes


def test_digits_reads_the_bundled_images():
    pictures = Digits().pictures()["train"]
    assert len(pictures) == 1797
    assert pictures.classes == [str(i) for i in range(10)]
    assert pictures.read(0).size == (8, 8)
    assert pictures.labels[:3] == [0, 1, 2]


@pytest.mark.parametrize("archive", [False, True])
def test_class_folders_give_labels(tmp_path, archive):
    folder = fakes.images(tmp_path / "photos", 12, classes=3)
    pictures = ImageFolder(path=str(fakes.zipped(folder) if archive else folder)).pictures()
    assert list(pictures) == ["train"]
    train = pictures["train"]
    assert train.classes == ["class_0", "class_1", "class_2"]
    assert train.labels == [0] * 4 + [1] * 4 + [2] * 4
    assert train.read(5).mode == "RGB"


@pytest.mark.parametrize("layout", ["flat", "one folder", "mixed"])
def test_folder_without_class_folders_has_no_labels(tmp_path, layout):
    folder = tmp_path / "photos"
    fakes.images(folder / "all" if layout == "one folder" else folder, 4)
    if layout == "mixed":
        fakes.images(folder / "more", 4)
        fakes.images(folder / "others", 4)
    train = ImageFolder(path=str(folder)).pictures()["train"]
    assert train.labels is None
    assert train.classes == []


def test_split_folders_give_splits_with_common_classes(tmp_path):
    fakes.images(tmp_path / "train", 8, classes=2)
    fakes.images(tmp_path / "val", 4, classes=1)
    fakes.images(tmp_path / "test" / "class_1", 2)
    pictures = ImageFolder(path=str(tmp_path)).pictures()
    assert {name: len(split) for name, split in pictures.items()} == {
        "train": 8,
        "validation": 4,
        "test": 2,
    }
    assert pictures["test"].labels == [1, 1]
    assert pictures["validation"].labels == [0, 0, 0, 0]


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "webp", "bmp", "PNG"])
def test_image_folder_reads_every_format(tmp_path, suffix):
    Image.new("RGB", (8, 8), "red").save(tmp_path / f"a.{suffix}")
    train = ImageFolder(path=str(tmp_path)).pictures()["train"]
    red, green, blue = train.read(0).convert("RGB").getpixel((4, 4))
    assert red > 200
    assert max(green, blue) < 50


def test_image_folder_ignores_hidden_files(tmp_path):
    fakes.images(tmp_path / "photos", 3)
    fakes.images(tmp_path / "photos" / "__MACOSX", 3)
    fakes.images(tmp_path / "photos" / ".thumbnails", 3)
    assert len(ImageFolder(path=str(tmp_path / "photos")).pictures()["train"]) == 3
    archive = fakes.zipped(tmp_path / "photos")
    assert len(ImageFolder(path=str(archive)).pictures()["train"]) == 3


def test_fingerprint_changes_with_the_files(tmp_path):
    folder = fakes.images(tmp_path / "photos", 4)
    before = ImageFolder(path=str(folder)).pictures()["train"].fingerprint
    assert ImageFolder(path=str(folder)).pictures()["train"].fingerprint == before
    Image.new("RGB", (9, 9)).save(folder / "0002.png")
    assert ImageFolder(path=str(folder)).pictures()["train"].fingerprint != before


def test_path_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match="does not exist"):
        ImageFolder(path="/nowhere/at/all").pictures()


@pytest.mark.parametrize(
    "suffix",
    ["tif", "tiff", "ppm", "pgm", "pbm", "pnm", "jfif", "gif", "TIF", "JFIF"],
)
def test_image_folder_reads_further_formats(tmp_path, suffix):
    mode = {"pgm": "L", "pbm": "1"}.get(suffix, "RGB")
    kind = {"pgm": "PPM", "pbm": "PPM", "pnm": "PPM", "jfif": "JPEG", "tif": "TIFF"}
    Image.new(mode, (8, 8), "white").save(
        tmp_path / f"a.{suffix}", kind.get(suffix.lower(), suffix)
    )
    train = ImageFolder(path=str(tmp_path)).pictures()["train"]
    assert train.read(0).convert("RGB").getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize("archive", [False, True])
def test_files_that_are_not_images_are_counted_by_suffix(tmp_path, caplog, archive):
    caplog.set_level(logging.INFO)
    folder = fakes.images(tmp_path / "photos", 3)
    for name in ("a.txt", "b.TXT", "c.json", "README", ".hidden"):
        (folder / name).touch()
    ImageFolder(path=str(fakes.zipped(folder) if archive else folder)).pictures()
    (line,) = [line for line in caplog.messages if "leaves out" in line]
    assert "limner leaves out 4 files that it does not read: 2 .txt, " in line
    assert "1 .json" in line
    assert "1 without a suffix" in line


def test_no_file_is_reported_when_all_files_are_images(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    ImageFolder(path=str(fakes.images(tmp_path / "photos", 3))).pictures()
    assert not caplog.messages


@pytest.mark.parametrize("split", ["", "train/", "test/"])
def test_picture_beside_class_folders_is_a_label_problem(tmp_path, split):
    for name in {"train/", split} - {""} if split else {""}:
        fakes.images(tmp_path / "photos" / name, 6, classes=2)
    Image.new("RGB", (8, 8)).save(tmp_path / "photos" / split / "cover.png")
    pictures = ImageFolder(path=str(tmp_path / "photos")).pictures()
    (problem,) = {found.label_problem for found in pictures.values()} - {None}
    assert (
        f"{split}cover.png of 7 images are outside the class folders (class_0, class_1)" in problem
    )


@pytest.mark.parametrize("split", ["val", "test"])
def test_class_without_training_images_is_a_label_problem(tmp_path, split):
    for folder in ("train/cat", "train/dog", f"{split}/Cat", f"{split}/dog"):
        fakes.images(tmp_path / folder, 2)
    train = ImageFolder(path=str(tmp_path)).pictures()["train"]
    assert f"the class folder {split}/Cat has no training images" in train.label_problem
    assert "the nearest there is cat." in train.label_problem


def test_class_that_has_only_training_images_is_no_problem(tmp_path):
    for folder in ("train/cat", "train/dog", "val/dog"):
        fakes.images(tmp_path / folder, 2)
    pictures = ImageFolder(path=str(tmp_path)).pictures()
    assert {found.label_problem for found in pictures.values()} == {None}


def test_home_in_a_path_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    fakes.images(tmp_path / "photos", 3)
    assert len(ImageFolder(path="~/photos").pictures()["train"]) == 3
