"""Pairs are found by their names, in folders or .zip files, or in the halves of a picture."""

import numpy as np
import pytest
from PIL import Image

from limner.data.checked_pictures import checked_pairs
from limner.data.paired_folder import PairedFolder
from limner.errors import UserError
from support import fakes

SUFFIXES = {"input": ".png", "target": ".webp"}


def write(path, colour, size=(4, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, lossless=True)


def source(path, **changes):
    arguments = {
        "layout": "folders", "input_folder": "in", "target_folder": "out", "input_side": "left",
    }  # fmt: skip
    return PairedFolder(path=str(path), **arguments | changes)


def halves(path, **changes):
    return source(path, layout="side_by_side", input_folder=None, target_folder=None, **changes)


def colours(pictures):
    return [pictures.read(i).convert("RGB").getpixel((0, 0))[0] for i in range(len(pictures))]


@pytest.fixture
def folder(tmp_path):
    """Write five pairs, whose colours are their numbers: targets are 100 more than inputs."""
    for i in range(5):
        write(tmp_path / "pairs" / "in" / f"{i}.png", (i, 0, 0))
        write(tmp_path / "pairs" / "out" / f"{i}.webp", (100 + i, 0, 0))
    return tmp_path / "pairs"


@pytest.mark.parametrize("packed", [False, True])
def test_two_pictures_of_one_name_are_a_pair_whatever_their_suffix(folder, packed):
    (found,) = source(fakes.zipped(folder) if packed else folder).pairs().values()
    assert found.names == ["0", "1", "2", "3", "4"]
    assert colours(found.inputs) == [0, 1, 2, 3, 4]
    assert colours(found.targets) == [100, 101, 102, 103, 104]
    assert list(found.inputs.names) == [f"in/{i}.png" for i in range(5)]
    assert found.inputs.labels is None


@pytest.mark.parametrize(
    "layout",
    ["{side}/{split}/{name}", "{split}/{side}/{name}", "deep/{split}{side}/{name}",
     "a/b/{side}/{split}/more/{name}"],
)  # fmt: skip
def test_folders_of_splits_may_be_above_or_below_the_sides(tmp_path, layout):
    for number, split in enumerate(("train", "val", "test")):
        for side, add in (("in", 0), ("out", 100)):
            path = layout.format(side=side, split=split, name="x.png")
            write(tmp_path / path, (add + number, 0, 0))
    found = source(tmp_path).pairs()
    assert {split: colours(pairs.inputs) for split, pairs in found.items()} == {
        "train": [0], "validation": [1], "test": [2],
    }  # fmt: skip
    assert {split: colours(pairs.targets) for split, pairs in found.items()} == {
        "train": [100], "validation": [101], "test": [102],
    }  # fmt: skip


def test_name_of_a_pair_has_its_folders_but_not_those_of_side_and_split(tmp_path):
    for side in ("in", "out"):
        write(tmp_path / side / "people" / "ann.1.png", "red")
        write(tmp_path / side / "places" / "hall.png", "red")
    assert source(tmp_path).pairs()["train"].names == ["people/ann.1", "places/hall"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_each_half_of_a_picture_is_an_input_or_a_target(tmp_path, side):
    for name in ("b", "a"):
        pixels = np.zeros((3, 8, 3), np.uint8)
        pixels[:, 4:] = 200
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    found = halves(tmp_path, input_side=side).pairs()["train"]
    assert found.names == ["a", "b"]
    assert found.inputs.read(0).size == found.targets.read(0).size == (4, 3)
    expected = ([0, 0], [200, 200]) if side == "left" else ([200, 200], [0, 0])
    assert (colours(found.inputs), colours(found.targets)) == expected


def test_picture_with_an_orientation_is_turned_before_it_is_halved(tmp_path):
    pixels = np.zeros((8, 4, 3), np.uint8)
    pixels[:4] = 200  # the right half after a turn by a quarter to the right
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    found = halves(tmp_path).pairs()["train"]
    assert found.inputs.read(0).size == (4, 4)
    assert (colours(found.inputs), colours(found.targets)) == ([0], [200])


def test_splits_of_pictures_side_by_side(tmp_path):
    for i, split in enumerate(("train", "val")):
        write(tmp_path / "maps" / split / "1.png", (i, 0, 0), size=(8, 4))
    found = halves(tmp_path).pairs()
    assert {split: colours(pairs.inputs) for split, pairs in found.items()} == {
        "train": [0], "validation": [1],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (["in/0", "in/1", "out/0", "out/1"], "in and out"),
        (["train/a/0", "train/b/0", "val/a/1", "val/b/1"], "a and b"),
        (["trainA/0", "trainB/0", "testA/1", "testB/1"], "testA and testB"),
        (["0", "1"], None),
        (["train/0", "val/0"], None),  # the same name in two splits
        (["in/0", "in/1", "out/0", "out/2"], None),
        (["a/0", "b/0", "c/1"], None),
    ],
)
def test_whole_pairs_that_would_be_cut_into_halves_are_warned_of(tmp_path, caplog, files, named):
    for file in files:
        write(tmp_path / f"{file}.png", "red")
    halves(tmp_path).pairs()
    if named is None:
        assert not caplog.records
        return
    (record,) = caplog.records
    assert record.getMessage() == (
        "data.layout=side_by_side cuts each picture into two halves, but the folders\n"
        f"{named} have equal file names. For pairs of whole pictures, choose data.layout=folders."
    )


def test_names_without_a_partner_are_counted_and_named(folder):
    (folder / "in" / "3.png").unlink()
    for i in range(6):
        write(folder / "in" / f"new{i}.png", "red")
    with pytest.raises(UserError) as error:
        source(folder).pairs()
    assert str(error.value).splitlines()[1:] == [
        "6 of 10 inputs have no target of the same name in out:",
        "  in/new0.png, in/new1.png, in/new2.png, in/new3.png and 2 more",
        "1 of 5 targets has no input of the same name in in:",
        "  out/3.webp",
        "Add the missing pictures, or remove these.",
    ]


def test_partner_in_another_split_is_no_partner(tmp_path):
    for side, split in (("in", "train"), ("out", "val")):
        write(tmp_path / split / side / "x.png", "red")
    write(tmp_path / "train" / "out" / "y.png", "red")
    with pytest.raises(UserError, match="1 of 1 input has no target"):
        source(tmp_path).pairs()


def test_two_inputs_of_one_name_are_refused(folder):
    write(folder / "in" / "3.webp", "red")
    with pytest.raises(UserError, match=r"in/3\.png and in/3\.webp are both the input"):
        source(folder).pairs()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_folder": None}, r"data\.input_folder=null: must name a folder .*\n.*: in, out"),
        ({"target_folder": "uot"}, r"data\.target_folder=uot: must name a folder"),
        ({"target_folder": "in"}, "must be two folders"),
        ({"layout": "both"}, r"data\.layout=both: must be folders or side_by_side"),
        ({"input_side": "top"}, r"data\.input_side=top: must be left or right"),
        ({"layout": "side_by_side"}, r"data\.input_folder=in: with data\.layout=side_by_side"),
    ],
)
def test_arguments_that_name_no_pairs_are_refused(folder, changes, message):
    with pytest.raises(UserError, match=message):
        source(folder, **changes).pairs()


def test_folder_of_inputs_inside_the_folder_of_targets_is_refused(tmp_path):
    write(tmp_path / "out" / "in" / "x.png", "red")
    write(tmp_path / "out" / "y.png", "red")
    with pytest.raises(UserError, match="must not contain each other"):
        source(tmp_path).pairs()


def test_pictures_in_other_folders_are_left_out_and_counted(folder, caplog):
    write(folder / "masks" / "0.png", "red")
    with caplog.at_level("INFO"):
        assert len(source(folder).pairs()["train"]) == 5
    assert "other folders, which are not read: 1" in caplog.text


def test_fingerprints_of_the_two_halves_differ_and_change_with_a_file(tmp_path):
    write(tmp_path / "a.png", "red", size=(8, 4))
    before = checked_pairs(halves(tmp_path))["train"]
    assert before.inputs.fingerprint != before.targets.fingerprint
    write(tmp_path / "b.png", "red", size=(8, 4))
    after = checked_pairs(halves(tmp_path))["train"]
    assert after.inputs.fingerprint != before.inputs.fingerprint
    assert after.inputs.sizes != before.inputs.sizes
