"""Captions of pictures in metadata.csv or metadata.jsonl, by the convention of Hugging Face.

A row has the name of a picture, relative to the folder of the file, and its caption. A picture
with several rows has several captions.
"""

__all__ = ["Row", "is_metadata", "is_outside", "matched", "read_rows"]

import csv
import io
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from limner.data.files import FileTree
from limner.data.listings import parts_of, with_slashes
from limner.errors import UserError
from limner.files.printable import printable

log = logging.getLogger(__name__)

NAMES = ("metadata.csv", "metadata.jsonl")
MAX_LISTED, MAX_SHOWN = 8, 60


class Row(NamedTuple):
    """A row of a metadata file."""

    folder: tuple[str, ...]
    """Folders of the metadata file, from the top."""
    name: str
    """Name of the picture, relative to this folder."""
    values: Mapping[str, Any]
    """Value of each column that is read; None if the row has none."""


def is_metadata(name: str) -> bool:
    """Return whether a file has the name of a metadata file."""
    return name.rpartition("/")[2] in NAMES


def is_outside(row: Row) -> bool:
    """Return whether the name of a row's picture has a part `..`, which is not followed."""
    return ".." in with_slashes(row.name).split("/")


def read_rows(tree: FileTree, path: Path, *, columns: Mapping[str, str]) -> list[Row]:
    """Return the rows of all metadata files below a folder or in a .zip file.

    Args:
        tree: The files.
        path: Path of the folder or .zip file, for messages.
        columns: Name of each column that a row must have by the key of `data` that sets it; the
            key file_column has the name of the picture.

    Raises:
        UserError: If there is no metadata file, if two are in one folder, or if one is damaged or
            lacks a column.
    """
    files = [name for name in tree.names if is_metadata(name)]
    if not files:
        raise UserError(
            f"data.path={path} has no {' or '.join(NAMES)}, which names the caption of each "
            "picture:\nits columns are file_name and text. Pictures without captions: "
            "data=image_folder"
        )
    folders = [file.rpartition("/")[0] for file in files]
    for folder in folders:
        if folders.count(folder) > 1:
            raise UserError(
                f"data.path={path}: {folder or 'it'} has {' and '.join(NAMES)}; keep one of them."
            )
    return [row for file in files for row in _rows_of(tree, file, path, columns)]


def matched(
    rows: Sequence[Row], files: Sequence[str], *, path: Path
) -> tuple[dict[str, list[Row]], list[Row]]:
    """Return the rows of each picture, and the rows that name none of the pictures.

    A row names the picture of its path. If there is none, it names the picture whose path ends so,
    below the folder of the metadata file.

    Args:
        rows: Rows of the metadata files.
        files: Names of the pictures.
        path: Path of the folder or .zip file, for messages.

    Raises:
        UserError: If a row names several pictures.
    """
    known, ends = set(files), _by_last_part(files)
    found: dict[str, list[Row]] = {}
    others: list[Row] = []
    for row in rows:
        parts = parts_of(with_slashes(row.name))
        name = "/".join((*row.folder, *parts))
        if name not in known:
            below = [
                other
                for other, whole in (ends.get(parts[-1], []) if parts else [])
                if whole[: len(row.folder)] == row.folder and whole[-len(parts) :] == tuple(parts)
            ]
            if len(below) > 1:
                folders = ", ".join(sorted({printable(each.split("/")[-2]) for each in below}))
                raise UserError(
                    f"data.path={path}: the picture {printable(row.name)} is in several folders "
                    f"({folders}).\nChoose the folder: data.folder=NAME"
                )
            if not below:
                others.append(row)
                continue
            name = below[0]
        found.setdefault(name, []).append(row)
    return found, others


def _by_last_part(files: Sequence[str]) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    """Return the names of pictures, and their parts, by the last part."""
    found: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for file in files:
        parts = tuple(parts_of(file))
        found.setdefault(parts[-1], []).append((file, parts))
    return found


def _rows_of(tree: FileTree, file: str, path: Path, columns: Mapping[str, str]) -> list[Row]:
    where = f"data.path={path}: {printable(file)}"
    folder, rows = tuple(parts_of(file)[:-1]), []
    for number, row in _values(tree, file, where):
        _refuse_nested(row, columns, f"{where}, line {number}")
        rows.append(row)
    known = dict.fromkeys(name for row in rows for name in row)
    for key, column in columns.items():
        if rows and column not in known:
            listed = ", ".join(printable(name) for name in list(known)[:MAX_LISTED])
            setting = f"data.group=column:{column}" if key == "group" else f"data.{key}={column}"
            raise UserError(f"{where} has no column {column} ({setting}).\nIts columns: {listed}")
    return [
        Row(
            folder,
            str(row.get(columns["file_column"]) or ""),
            {column: row.get(column) for column in columns.values()},
        )
        for row in rows
    ]


def _refuse_nested(row: Mapping[str, Any], columns: Mapping[str, str], where: str) -> None:
    """Raise `UserError` for an object or a list in place of a text; captions may be a list."""
    for key, column in columns.items():
        value = row.get(column)
        several = key == "text_column" and isinstance(value, list)
        for each in value if several else [value]:
            if isinstance(each, dict | list):
                kind = "an object" if isinstance(each, dict) else "a list"
                rule = "a text or a list of texts" if key == "text_column" else "a text"
                raise UserError(
                    f"{where}: the column {column} must be {rule}, and has {kind}:\n"
                    f"{printable(json.dumps(each, ensure_ascii=False))[:MAX_SHOWN]}"
                )


def _values(tree: FileTree, file: str, where: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the line, from 1, and the values by column of each row of a metadata file."""
    try:
        text = tree.content(file).decode("utf-8-sig")
    except Exception as error:  # the reader of a damaged archive may raise any exception
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{where} cannot be read ({reason}).") from error
    if file.endswith(".csv"):
        try:
            reader = csv.DictReader(io.StringIO(text, newline=""))
            for row in reader:
                yield reader.line_num, {k: value for k, value in row.items() if k is not None}
        except csv.Error as error:
            raise UserError(f"{where} is not plain CSV ({error}).") from error
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}, line {number}, is not JSON ({error}).") from error
        if not isinstance(row, dict):
            raise UserError(f"{where}, line {number}: must be a JSON object with the columns.")
        yield number, row
