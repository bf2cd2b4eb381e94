"""The columns of a data set of the Hugging Face Hub: pictures, labels and captions."""

__all__ = ["Labels", "groups", "image_column", "labels", "reader", "texts"]

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from limner.data.vocabulary import split_words
from limner.errors import UserError
from limner.files.pictures import MAX_BYTES, decode_picture
from limner.files.plain import NotPlainError, read_bytes
from limner.files.printable import printable

log = logging.getLogger(__name__)

BINARY = ("binary", "large_binary")
TEXT = ("string", "large_string", "string_view")
MAX_LISTED = 12
"""Largest number of columns that a message lists."""


class Labels(NamedTuple):
    """The labels of all splits."""

    classes: list[str]
    """Names of the classes; [] without labels."""
    of_split: Mapping[str, list[int] | None]
    """Class of each picture of a split, or None."""
    problem: str | None
    """Reason why there are no usable labels."""


def image_column(features: Mapping[str, Any], chosen: str | None, *, key: str) -> str:
    """Return the name of a column of pictures: the chosen column, or the only one.

    Args:
        features: Columns of the data set with their types.
        chosen: Name of the column, or None.
        key: Key that chooses it, for messages.

    Raises:
        UserError: If there is no such column, it has no pictures, or there are several.
    """
    found = [name for name, feature in features.items() if _has_pictures(feature)]
    if chosen is not None:
        _refuse_absent(features, chosen, key=key, fitting=found)
        if chosen not in found:
            raise UserError(
                f"{key}={chosen}: the column has no pictures; {_choose(found, features)}"
            )
        return chosen
    if len(found) != 1:
        few = "the data set has several columns of pictures" if found else "no column has pictures"
        raise UserError(f"{key}=null: {few}; {_choose(found, features)}")
    return found[0]


def labels(splits: Mapping[str, Any], chosen: str | None) -> Labels:
    """Return the labels of all splits, of the chosen column or the only column of classes.

    The classes of numbers or texts without names are their different values in the split "train",
    in order.

    Args:
        splits: Data set of each split; "train" must exist.
        chosen: Name of the column, or None.

    Raises:
        UserError: If there is no such column, or if it has other values than classes.
    """
    from datasets import ClassLabel, Value

    features = splits["train"].features
    named = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
    none = Labels([], dict.fromkeys(splits), None)
    if chosen is None:
        if len(named) < 2:
            if not named:
                return none
            chosen = named[0]
        else:
            listed = ", ".join(map(printable, named))
            return none._replace(
                problem=f"data.label_column=null: choose one of the columns {listed}."
            )
    _refuse_absent(features, chosen, key="data.label_column", fitting=named)
    feature = features[chosen]
    values = {split: _values(data, chosen) for split, data in splits.items()}
    if isinstance(feature, ClassLabel):
        classes, number = list(feature.names), {i: i for i in range(len(feature.names))}
    elif isinstance(feature, Value) and (
        feature.dtype in (*TEXT, "bool") or feature.dtype.startswith(("int", "uint"))
    ):
        different = sorted({value for value in values["train"] if value is not None})
        classes = [str(value) for value in different]
        number = {value: i for i, value in enumerate(different)}
    else:
        raise UserError(
            f"data.label_column={chosen}: labels are classes, whole numbers or texts, and the "
            f"column has\n{feature}."
        )
    return _numbered(values, classes, number, chosen)


def texts(data: Any, column: str) -> list[list[str]]:
    """Return the captions of each picture that have a word; [] if there are none.

    Raises:
        UserError: If there is no such column, or if it has no texts.
    """
    features = data.features
    fitting = [name for name, feature in features.items() if _has_texts(feature)]
    _refuse_absent(features, column, key="data.text_column", fitting=fitting)
    if column not in fitting:
        raise UserError(
            f"data.text_column={column}: the column has no texts; {_choose(fitting, features)}"
        )
    rows = _values(data, column)
    listed = [[row] if row is None or isinstance(row, str) else row for row in rows]
    return [[text for text in row if text is not None and split_words(text)] for row in listed]


def groups(data: Any, column: str) -> list[str]:
    """Return the value of a column of each picture, as text.

    Raises:
        UserError: If there is no such column.
    """
    _refuse_absent(data.features, column, key="data.group_column", fitting=[])
    return [json.dumps(value, default=str) for value in _values(data, column)]


def reader(data: Any, column: str, root: Path) -> tuple[list[str | None], Callable[[int], Any]]:
    """Return the path of each picture, if it has one, and the function that reads a picture.

    Args:
        data: One split of the data set.
        column: Name of the column of pictures.
        root: Folder of the data set, which contains the files of pictures that the data set only
            names.
    """
    import datasets

    images = data.select_columns([column])
    if isinstance(images.features[column], datasets.Image):
        images = images.cast_column(column, datasets.Image(decode=False))
    inside = [root, Path(datasets.config.EXTRACTED_DATASETS_PATH)]

    def read(i: int) -> Image.Image:
        return decode_picture(_content(images[i][column], inside))

    return _paths(images, column, inside), read


def _numbered(
    values: Mapping[str, Sequence[Any]],
    classes: list[str],
    number: Mapping[Any, int],
    column: str,
) -> Labels:
    """Return the number of the class of each value; a split without any label has None."""
    found: dict[str, list[int] | None] = {}
    problem = None
    for split, own in values.items():
        numbers = [number.get(value, -1) for value in own]
        missing = [value for value, i in zip(own, numbers, strict=True) if i < 0]
        if missing and len(missing) < len(own):
            shown, has = printable(missing[0]), "has" if len(missing) == 1 else "have"
            problem = (
                f"data.label_column={column}: {len(missing):,} of {len(own):,} pictures of "
                f"{split} {has} no class of the split train\n(the first has {shown})."
            )
        found[split] = None if missing else numbers
    if found["train"] is None and problem is None:
        problem = f"data.label_column={column}: the training pictures have no labels."
    return Labels(classes, found, problem)


def _has_pictures(feature: Any) -> bool:
    from datasets import Image, Value

    if isinstance(feature, Mapping):  # as other programs write an Image
        feature = feature.get("bytes")
    return isinstance(feature, Image) or (isinstance(feature, Value) and feature.dtype in BINARY)


def _has_texts(feature: Any) -> bool:
    from datasets import List, Value

    if isinstance(feature, List):
        feature = feature.feature
    return isinstance(feature, Value) and feature.dtype in TEXT


def _refuse_absent(
    features: Mapping[str, Any], chosen: str, *, key: str, fitting: Sequence[str]
) -> None:
    if chosen not in features:
        raise UserError(
            f"{key}={chosen}: the data set has no such column; {_choose(fitting, features)}"
        )


def _choose(fitting: Sequence[str], features: Mapping[str, Any]) -> str:
    """Return which columns fit, or which columns there are."""
    names = [printable(name) for name in fitting or features]
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    listed = ", ".join(names[:MAX_LISTED]) + more
    return f"choose one of: {listed}" if fitting else f"its columns are: {listed}"


def _values(data: Any, column: str) -> list[Any]:
    return data.select_columns([column])[:][column]


def _paths(images: Any, column: str, inside: Sequence[Path]) -> list[str | None]:
    """Return the path of each picture below the folder of the data set, or its own name."""
    table = images.with_format("arrow")
    found: list[str | None] = []
    for start in range(0, len(images), 10_000):
        entries = table[start : start + 10_000].column(column).combine_chunks()
        fields = [field.name for field in entries.type] if entries.type.num_fields else []
        if "path" not in fields:
            return [None] * len(images)
        found += entries.field("path").to_pylist()
    return [None if path is None else _below(path, inside) for path in found]


def _below(path: str, inside: Sequence[Path]) -> str:
    for folder in inside:
        if Path(path).is_relative_to(folder):
            return Path(path).relative_to(folder).as_posix()
    return path


def _content(entry: Any, inside: Sequence[Path]) -> bytes:
    """Return the bytes of a picture, which are in the data set or in a file of its folder.

    Raises:
        NotPlainError: If there is no picture, or if its file lies outside the data set.
    """
    content, path = (
        (entry.get("bytes"), entry.get("path")) if isinstance(entry, Mapping) else (entry, None)
    )
    if content is not None:
        if len(content) > MAX_BYTES:
            raise NotPlainError(f"is too large ({MAX_BYTES:,} bytes at most)")
        return content
    if path is None:
        raise NotPlainError("is missing: the row is empty")
    file = Path(os.path.normpath(path))
    if not any(file.is_relative_to(folder) for folder in inside):
        raise NotPlainError("is a file outside the data set, which limner does not open")
    return read_bytes(file, max_bytes=MAX_BYTES)
