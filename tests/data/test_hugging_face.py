"""A data set of the hub's layouts is read by its columns and splits, and no code of it is run."""

import ast
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import limner
from limner.data import HuggingFace
from limner.data.decode import CorruptPicture, read_picture
from limner.errors import UserError
from support import hub_data


def opened(path, **given):
    return HuggingFace(**hub_data.arguments(path, **given)).pictures()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return hub_data.parquet(tmp_path_factory.mktemp("hub") / "colours", train=9, test=3)


def test_parquet_files_give_images_labels_and_captions(folder):
    found = opened(folder, text_column="text")
    assert {split: len(pictures) for split, pictures in found.items()} == {"train": 9, "test": 3}
    for split, start in (("train", 0), ("test", 9)):
        pictures = found[split]
        assert pictures.classes == ["red", "green", "blue"]
        assert pictures.labels == [i % 3 for i in range(start, start + len(pictures))]
        for i in range(len(pictures)):
            assert np.array_equal(np.asarray(pictures.read(i)), hub_data.pixels(start + i))
            assert pictures.texts[i] == [hub_data.caption(start + i)]
            assert pictures.names[i] == f"{start + i}.png"


def test_captions_are_read_only_when_their_column_is_chosen(folder):
    assert opened(folder)["train"].texts is None


def test_moved_folder_has_the_same_fingerprint_and_another_content_has_not(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    for split, pictures in opened(folder).items():
        moved = opened(copy)[split]
        assert (moved.fingerprint, moved.sizes) == (pictures.fingerprint, pictures.sizes)
    other = hub_data.parquet(tmp_path / "other", start=1, train=9, test=3)
    assert opened(other)["train"].fingerprint != pictures.fingerprint


def test_single_parquet_file_of_another_program_is_the_training_split(tmp_path):
    columns = {"picture": [hub_data.png(i) for i in range(4)], "kind": ["b", "a", "b", "c"]}
    path = hub_data.write(tmp_path / "all.parquet", columns)
    (split, pictures), *more = opened(path, label_column="kind").items()
    assert (split, more) == ("train", [])
    assert (pictures.classes, pictures.labels) == (["a", "b", "c"], [1, 0, 1, 2])
    assert np.array_equal(np.asarray(pictures.read(3)), hub_data.pixels(3))
    assert opened(path)["train"].labels is None, "texts are labels only if they are chosen"


def test_image_folder_has_classes_of_its_folders_and_names_below_it(tmp_path):
    names = [f"{split}/{name}/{i}.png" for split in ("train", "test") for name in ("cat", "dog")
             for i in range(2)]  # fmt: skip
    found = opened(hub_data.image_folder(tmp_path / "pets", names))
    assert found["train"].classes == found["test"].classes == ["cat", "dog"]
    assert found["train"].labels == [0, 0, 1, 1]
    assert list(found["test"].names) == names[4:]
    assert np.array_equal(np.asarray(found["test"].read(1)), hub_data.pixels(5))


def test_image_folder_has_captions_of_its_metadata(tmp_path):
    folder = hub_data.image_folder(tmp_path / "photos", ["0.png", "1.png"])
    (folder / "metadata.csv").write_text("file_name,words\n1.png,one\n0.png,zero\n")
    (pictures,) = opened(folder, text_column="words").values()
    texts = dict(zip(pictures.names, pictures.texts, strict=True))
    assert texts == {"0.png": ["zero"], "1.png": ["one"]}


def test_several_captions_are_kept_and_pictures_without_captions_are_left_out(tmp_path, caplog):
    columns = {
        "image": [hub_data.png(i) for i in range(4)],
        "texts": [["one", "two"], [], None, ["!", "three"]],
        "label": ["a", "b", "c", "b"],
        "of": ["x", "x", "y", "x"],
    }
    path = hub_data.write(tmp_path / "all.parquet", columns)
    (pictures,) = opened(
        path, text_column="texts", label_column="label", group_column="of"
    ).values()
    assert pictures.texts == [["one", "two"], ["three"]]
    assert pictures.labels == [0, 1]
    assert len(set(pictures.groups)) == 1
    assert np.array_equal(np.asarray(pictures.read(1)), hub_data.pixels(3))
    assert "2 of 4 pictures of train left out, without a caption" in caplog.text


@pytest.mark.parametrize(
    ("splits", "given", "expected"),
    [
        ({"validation": 2}, {}, {"train": 2}),
        ({"train": 3, "validation": 2}, {}, {"train": 3, "validation": 2}),
        ({"train": 3, "test": 2}, {"train_split": "test"}, {"train": 2}),
    ],
)
def test_splits_have_the_names_of_the_hub(tmp_path, splits, given, expected):
    found = opened(hub_data.parquet(tmp_path / "set", **splits), **given)
    assert {split: len(pictures) for split, pictures in found.items()} == expected


def test_split_without_labels_is_left_out_as_a_secret_test_split(tmp_path, caplog):
    folder = tmp_path / "secret"
    for split, labels in (("train", [3, 1]), ("test", [-1, -1])):
        columns = {"image": [hub_data.png(i) for i in range(2)], "label": labels}
        hub_data.write(folder / "data" / f"{split}-0.parquet", columns)
    found = opened(folder, label_column="label")
    assert list(found) == ["train"]
    assert found["train"].classes == ["1", "3"]
    assert "The test split has no labels, and is left out." in caplog.text


def test_label_that_training_lacks_is_a_problem_of_the_labels(tmp_path):
    folder = tmp_path / "odd"
    for split, labels in (("train", [0, 1]), ("test", [1, 2])):
        columns = {"image": [hub_data.png(i) for i in range(2)], "label": labels}
        hub_data.write(folder / "data" / f"{split}-0.parquet", columns)
    problem = opened(folder, label_column="label")["train"].label_problem
    assert "1 of 2 pictures of test has no class of the split train" in problem
    assert "the first has 2" in problem


def test_picture_that_cannot_be_read_is_named(tmp_path):
    outside = hub_data.image_folder(tmp_path / "private", ["secret.png"]) / "secret.png"
    entries = [
        {"bytes": b"no picture", "path": "a.png"},
        {"bytes": None, "path": None},
        {"bytes": None, "path": str(outside)},
        {"bytes": None, "path": f"{tmp_path}/set/../private/secret.png"},
    ]
    path = hub_data.write(tmp_path / "set" / "all.parquet", {"image": entries})
    (pictures,) = opened(path.parent).values()
    reasons = ["no whole picture", "the row is empty", *2 * ["a file outside the data set"]]
    for i, reason in enumerate(reasons):
        with pytest.raises(CorruptPicture, match=reason):
            read_picture(pictures, i)


def test_code_of_a_data_set_is_refused_and_never_run(tmp_path):
    folder = hub_data.image_folder(tmp_path / "set", ["0.png"])
    (folder / "set.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(
        UserError, match=r"code of its own, set\.py, which limner never runs"
    ) as caught:
        opened(folder)
    assert "move set.py out of the folder" in str(caught.value)
    assert "revision" not in str(caught.value), "a folder has none"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no files of pictures"),
        ({"a.csv": "image\nx.png\n"}, "in the layout csv; limner reads parquet, arrow"),
        ({"a.parquet": "no parquet"}, "cannot be read as a data set"),
    ],
)
def test_folder_without_pictures_is_refused_in_one_message(tmp_path, capfd, files, message):
    (tmp_path / "set").mkdir()
    for name, text in files.items():
        (tmp_path / "set" / name).write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        opened(tmp_path / "set")
    assert str(caught.value).count("\n") < 3
    assert capfd.readouterr().err == "", "the package datasets says nothing"


@pytest.mark.parametrize(
    "path", ["/nowhere/at/all", "./nowhere", "../no/where", "~/no-where-at-all", "moved/a.parquet"]
)
def test_path_that_looks_local_and_is_missing_is_called_missing(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        opened(path)
    assert f"data.path={path} does not exist.\n" in str(caught.value)


@pytest.mark.parametrize("path", ["nowhere", "text.txt", "./text.txt"])
def test_path_that_is_no_data_set_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("")
    with pytest.raises(UserError, match=r"must be a folder, a \.parquet file,\nor a data set"):
        opened(path)


def test_train_split_and_subset_that_are_missing_are_named(folder, tmp_path):
    with pytest.raises(UserError, match=r"train_split=big: .* choose one of: train, test"):
        opened(folder, train_split="big")
    several = tmp_path / "several"
    for name in ("small", "large"):
        hub_data.write(several / name / "all.parquet", {"image": [hub_data.png(0)]})
    (several / "README.md").write_text(
        "---\nconfigs:\n"
        + "".join(
            f"- config_name: {name}\n  data_files: {name}/*.parquet\n"
            for name in ("small", "large")
        )
        + "---\n"
    )
    for given in ({}, {"subset": "medium"}):
        with pytest.raises(UserError, match=r"data\.subset=\w+: choose one of: small, large"):
            opened(several, **given)
    assert len(opened(several, subset="large")["train"]) == 1


@pytest.mark.parametrize("kind", ["parquet", "file", "pictures"])
def test_subset_that_a_data_set_without_subsets_lacks_is_refused(tmp_path, kind):
    if kind == "parquet":
        path = hub_data.parquet(tmp_path / "set", train=2)
    elif kind == "file":
        path = hub_data.write(tmp_path / "all.parquet", {"image": [hub_data.png(0)]})
    else:
        path = hub_data.image_folder(tmp_path / "set", ["0.png"])
    with pytest.raises(UserError, match=r"^data\.subset=foo: choose one of: default\n.*=null$"):
        opened(path, subset="foo")
    assert len(opened(path, subset="default")["train"])


def test_missing_package_is_named_with_its_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r'pip install "limner\[huggingface\]"'):
        opened(folder)


def test_slow_packages_are_imported_only_when_they_are_used():
    slow = {"datasets", "huggingface_hub", "pyarrow"}
    at_the_top = [
        (path.name, node.lineno)
        for path in Path(limner.__file__).parent.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if slow & _imported(node)
    ]
    assert at_the_top == []


def _imported(node):
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
    return {name.partition(".")[0] for name in names}
