"""Folders and .zip files with captions: which row belongs to which picture, and what is said."""

import csv
import json
import logging

import pytest

from limner.data import CaptionedFolder
from limner.errors import UserError
from support import fakes

GIVEN = {
    "folder": None, "file_column": "file_name", "text_column": "text", "label_column": None,
    "group": None,
}  # fmt: skip


def write_csv(folder, rows, *, name="metadata.csv", columns=None):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns or list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def rows_for(*names, **more):
    return [{"file_name": name, "text": f"caption of {name[:-4]}", **more} for name in names]


def opened(path, **changes):
    return CaptionedFolder(path=str(path), **{**GIVEN, **changes}).pictures()


def captions(path, **changes):
    found = opened(path, **changes)
    return {
        split: dict(zip(pictures.names, pictures.texts, strict=True))
        for split, pictures in found.items()
    }


@pytest.fixture
def photos(tmp_path):
    """Return a folder of pictures 0000.png to 0003.png without captions."""
    return fakes.images(tmp_path / "photos", 4, size=(4, 4))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_captions_belong_to_the_pictures_of_their_rows(photos, zipped, kind):
    rows = [
        {"file_name": "0002.png", "text": 'a "red", round\nthing'},
        {"file_name": "./0000.png", "text": "Ärger"},
        *rows_for("0001.png", "0003.png"),
    ]
    if kind == "csv":
        write_csv(photos, rows)
    else:
        (photos / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    found = captions(fakes.zipped(photos) if zipped else photos)["train"]
    assert found == {
        "0000.png": "Ärger", "0001.png": "caption of 0001",
        "0002.png": 'a "red", round\nthing', "0003.png": "caption of 0003",
    }  # fmt: skip
    pictures = opened(photos)["train"]
    assert pictures.read(2).size == (4, 4)
    assert pictures.labels is None


def test_several_rows_or_a_list_of_a_picture_are_its_captions(photos):
    rows = [
        {"file_name": "0000.png", "text": ["one", "two", "one"]}, *rows_for("0001.png"),
        {"file_name": "0001.png", "text": "second"},
    ]  # fmt: skip
    (photos / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = captions(photos)["train"]
    assert found == {"0000.png": ["one", "two"], "0001.png": ["caption of 0001", "second"]}


def test_pictures_without_a_caption_are_left_out_and_counted(photos, caplog):
    rows = [*rows_for("0001.png", "gone.png"), {"file_name": "0002.png", "text": " ...! "}]
    write_csv(photos, rows)
    with caplog.at_level(logging.INFO):
        found = opened(photos)["train"]
    assert list(found.names) == ["0001.png"]
    assert found.read(0).tobytes() == opened_picture(photos / "0001.png")
    assert "\n3 of 4 pictures (1 empty caption); the first is 0000.png." in caplog.text
    assert (
        "left out for lack of their pictures:\n1 caption; the first names gone.png." in caplog.text
    )
    assert "'..'" not in caplog.text
    assert ".csv" not in caplog.text


def test_names_that_leave_the_folder_are_told_the_rule(photos, caplog):
    write_csv(photos, rows_for("0001.png", "gone.png", "../photos/0002.png"))
    opened(photos)
    assert "2 captions; the first names gone.png.\n../photos/0002.png has '..'" in caplog.text
    assert "must lie below the folder of its metadata file" in caplog.text


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("000{}.png", "The column title of their rows is empty. For another column: data.text_"),
        ("{}.jpg", "The column file_name must have names of pictures, such as 0000.png."),
    ],
)
def test_refusal_without_any_caption_names_the_column_at_fault(photos, name, rule):
    rows = [{"file_name": name.format(i), "title": " ." if i else ""} for i in range(4)]
    write_csv(photos, rows)
    with pytest.raises(UserError) as refused:
        opened(photos, text_column="title")
    assert str(refused.value).partition("\n")[2].startswith(rule)


def opened_picture(path):
    from PIL import Image

    return Image.open(path).tobytes()


def test_each_folder_of_a_split_has_its_own_metadata(tmp_path):
    for split, number in (("train", 3), ("val", 2)):
        fakes.images(tmp_path / "data" / split, number)
        rows = [{"file_name": f"{i:04}.png", "text": f"{split} {i}"} for i in range(number)]
        write_csv(tmp_path / "data" / split, rows)
    found = captions(tmp_path / "data")
    assert found["train"]["train/0001.png"] == "train 1"
    assert found["validation"] == {"val/0000.png": "val 0", "val/0001.png": "val 1"}


@pytest.mark.parametrize("names", ["0000.png", "HERE/0000.png"])
def test_data_folder_chooses_among_pictures_of_one_name(tmp_path, names):
    for folder in ("noto", "twemoji"):
        fakes.images(tmp_path / "emoji" / folder, 2)
    if names.startswith("HERE"):
        rows = [{"file_name": f"twemoji/000{i}.png", "text": f"t{i}"} for i in range(2)]
    else:
        rows = [{"file_name": f"000{i}.png", "text": f"t{i}"} for i in range(2)]
    write_csv(tmp_path / "emoji", rows)
    expected = {"twemoji/0000.png": "t0", "twemoji/0001.png": "t1"}
    assert captions(tmp_path / "emoji", folder="twemoji")["train"] == expected
    if not names.startswith("HERE"):
        with pytest.raises(
            UserError, match=r"several folders \(noto, twemoji\).\n.*data\.folder="
        ):
            captions(tmp_path / "emoji")


def test_columns_are_chosen_by_key_and_missing_ones_are_refused_with_the_others(photos):
    write_csv(photos, [{"image": "0001.png", "title": "x y"}])
    found = captions(photos, file_column="image", text_column="title")
    assert found["train"] == {"0001.png": "x y"}
    with pytest.raises(
        UserError, match=r"no column text \(data\.text_column=text\).\n.*: image, title"
    ):
        captions(photos, file_column="image")
    with pytest.raises(UserError, match=r"no column base \(data\.group=column:base\)"):
        captions(photos, file_column="image", text_column="title", group="column:base")


def test_column_of_labels_gives_classes_in_natural_order(photos):
    rows = [
        {**row, "kind": kind}
        for row, kind in zip(
            rows_for(*(f"000{i}.png" for i in range(4))), ["c10", "c9", "c10", "b"], strict=True
        )
    ]
    write_csv(photos, rows)
    found = opened(photos, label_column="kind")["train"]
    assert list(found.classes) == ["b", "c9", "c10"]
    assert found.labels == [2, 1, 2, 0]
    plain = opened(photos)["train"]
    assert plain.fingerprint != found.fingerprint


def test_picture_whose_class_is_not_trained_is_refused(tmp_path):
    for split, kind in (("train", "cat"), ("test", "dog")):
        fakes.images(tmp_path / "data" / split, 2)
        write_csv(tmp_path / "data" / split, rows_for("0000.png", "0001.png", kind=kind))
    with pytest.raises(UserError, match=r"test/0000\.png has the class dog in the column kind"):
        opened(tmp_path / "data", label_column="kind")


def test_groups_are_a_column_or_a_part_of_the_name(photos):
    names = [f"000{i}.png" for i in range(4)]
    rows = [{**row, "base": base} for row, base in zip(rows_for(*names), "aaba", strict=True)]
    write_csv(photos, rows)
    assert opened(photos)["train"].groups is None
    assert opened(photos, group="column:base")["train"].groups == ["a", "a", "b", "a"]
    assert opened(photos, group="^00(0[01]|.)")["train"].groups == ["00", "01", "0", "0"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"metadata.jsonl": "{"}, r"metadata\.jsonl, line 1, is not JSON"),
        ({"metadata.jsonl": '{"file_name": "a"}\n3'}, "line 2: must be a JSON object"),
        ({"metadata.jsonl": "[" * 100_000}, "line 1, is not JSON"),
        (
            {"metadata.jsonl": '{"file_name": "0000.png", "text": 7}\n\n'
             '{"file_name": "0001.png", "text": {"en": "red"}}'},
            r'line 3: the column text must be a text .* has an object:\n{"en": "red"}',
        ),
        ({"metadata.jsonl": '{"file_name": ["a"], "text": "b"}'}, "file_name must be a text, and"),
        ({"metadata.jsonl": '{"file_name": "a", "text": [["b"]]}'}, r'has a list:\n\["b"\]'),
        ({"metadata.csv": b"\xff\xfe,"}, r"metadata\.csv cannot be read"),
        ({"metadata.csv": "file_name,text\n" + "x" * 200_000}, "is not plain CSV"),
        ({"metadata.csv": "a", "metadata.jsonl": "{}"}, "keep one of them"),
        ({}, r"has no metadata\.csv or metadata\.jsonl"),
        ({"metadata.csv": "file_name,text\n../../etc/passwd,x\n"}, "no training picture"),
        ({"metadata.csv": ""}, "no training picture has a caption"),
    ],
)  # fmt: skip
def test_damaged_or_missing_metadata_are_refused_in_few_lines(photos, content, message):
    for name, text in content.items():
        (photos / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message) as refused:
        opened(photos)
    assert len(str(refused.value).splitlines()) <= 3
