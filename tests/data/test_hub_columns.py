"""Columns of a hub data set are chosen by key, and a wrong choice names the columns that fit."""

import pytest

from limner.data import hub_columns
from limner.errors import UserError


@pytest.fixture(scope="module")
def types():
    from datasets import ClassLabel, Image, List, Value

    return {
        "img": Image(), "raw": Value("binary"), "struct": {"bytes": Value("binary")},
        "label": ClassLabel(names=["a", "b"]), "fine": ClassLabel(names=["x"]),
        "number": Value("int64"), "share": Value("float32"), "text": Value("string"),
        "texts": List(Value("string")), "numbers": List(Value("int64")),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "chosen", "found"),
    [
        ("img text", None, "img"), ("text raw", None, "raw"), ("struct", None, "struct"),
        ("img raw", "raw", "raw"),
    ],
)  # fmt: skip
def test_image_column_is_the_chosen_one_or_the_only_one(types, columns, chosen, found):
    features = {name: types[name] for name in columns.split()}
    assert hub_columns.image_column(features, chosen, key="data.image_column") == found


@pytest.mark.parametrize(
    ("columns", "chosen", "message"),
    [
        ("img text", "image", "data.image_column=image: the data set has no such column"),
        ("img text", "text", "the column has no pictures; choose one of: img"),
        ("img raw", None, "several columns of pictures; choose one of: img, raw"),
        ("text number", None, "no column has pictures; its columns are: text, number"),
    ],
)  # fmt: skip
def test_image_column_names_the_columns_that_fit(types, columns, chosen, message):
    features = {name: types[name] for name in columns.split()}
    with pytest.raises(UserError) as caught:
        hub_columns.image_column(features, chosen, key="data.image_column")
    assert message in str(caught.value)


def test_labels_are_those_of_the_only_named_classes(types):
    found = hub_columns.labels({"train": _rows(types, label=[1, 0], number=[7, 7])}, None)
    assert found == (["a", "b"], {"train": [1, 0]}, None)
    found = hub_columns.labels({"train": _rows(types, number=[7, 3, 7])}, None)
    assert found == ([], {"train": None}, None)
    found = hub_columns.labels({"train": _rows(types, number=[7, 3, 7])}, "number")
    assert found == (["3", "7"], {"train": [1, 0, 1]}, None)
    found = hub_columns.labels({"train": _rows(types, label=[1], fine=[0])}, None)
    assert found.problem == "data.label_column=null: choose one of the columns label, fine."
    found = hub_columns.labels({"train": _rows(types, number=[None, None])}, "number")
    assert "the training pictures have no labels" in found.problem


@pytest.mark.parametrize(
    ("rows", "column", "message"),
    [
        ({"share": [0.5]}, "share", "labels are classes, whole numbers or texts"),
        ({"label": [0]}, "class", "no such column; choose one of: label"),
    ],
)
def test_labels_refuse_other_columns(types, rows, column, message):
    with pytest.raises(UserError, match=message):
        hub_columns.labels({"train": _rows(types, **rows)}, column)


def test_texts_have_words_and_groups_any_value(types):
    rows = _rows(
        types, text=["a dog", None, " . "], texts=[["x", "?"], [], None], number=[1, 1, 2]
    )
    assert hub_columns.texts(rows, "text") == [["a dog"], [], []]
    assert hub_columns.texts(rows, "texts") == [["x"], [], []]
    first, second, third = hub_columns.groups(rows, "number")
    assert first == second != third
    with pytest.raises(UserError, match=r"has no texts; choose one of: text, texts"):
        hub_columns.texts(rows, "number")
    with pytest.raises(UserError, match=r"data\.group_column=of: .* no such column"):
        hub_columns.groups(rows, "of")


def _rows(types, **columns):
    from datasets import Dataset, Features

    return Dataset.from_dict(columns, features=Features({name: types[name] for name in columns}))
