"""Source of pictures with captions: a folder or .zip file with metadata.csv or metadata.jsonl."""

__all__ = ["CaptionedFolder"]

import dataclasses
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence

from limner.data.caption_files import Row, is_metadata, is_outside, matched, read_rows
from limner.data.files import FileTree
from limner.data.picture_folder import PictureFolder
from limner.data.sources import Pictures
from limner.data.splits import group_keys
from limner.data.vocabulary import split_words
from limner.errors import UserError
from limner.files.natural_order import natural_key
from limner.files.printable import counted, printable

log = logging.getLogger(__name__)

COLUMN = "column:"
"""Start of a group that is the value of a column."""


class CaptionedFolder(PictureFolder):
    """The pictures below a folder or in a .zip file, with the captions of its metadata files.

    Pictures without a caption are left out. A picture in several rows has several captions.
    Folders named train, val (valid, validation) and test at the top are splits.

    Args:
        path: Folder or .zip file; `~` is the home folder.
        folder: Name of the folders whose pictures are read, at any depth; None for all pictures,
            or for those in HR if there are folders HR and LR.
        file_column: Name of the column with the name of the picture.
        text_column: Name of the column with the caption.
        label_column: Name of the column with the class; None for pictures without labels.
        group: Regular expression on the name of a picture, as in `limner.data.splits.group_keys`,
            or "column:NAME" for the value of a column: pictures that agree stay in one split.
            None for no groups.
    """

    def __init__(
        self,
        *,
        path: str,
        folder: str | None,
        file_column: str,
        text_column: str,
        label_column: str | None,
        group: str | None,
    ) -> None:
        super().__init__(path=path, folder=folder)
        self.columns = {"file_column": file_column, "text_column": text_column}
        if label_column is not None:
            self.columns["label_column"] = label_column
        self.group = group
        if group is not None and group.startswith(COLUMN):
            self.columns["group"] = group.removeprefix(COLUMN)

    def opened(self) -> tuple[FileTree, list[str]]:
        """Return the files, and the names of those that are images, see `ImageFolder.opened`."""
        self._tree, files = super().opened()
        return self._tree, files

    def pictures(self) -> dict[str, Pictures]:
        """Return the pictures with captions of each split; without such folders, of "train".

        Raises:
            UserError: If the metadata are missing or damaged, or no picture has a caption.
        """
        found = super().pictures()
        rows = read_rows(self._tree, self.path, columns=self.columns)
        files = [name for pictures in found.values() for name in pictures.names]
        rows_of, others = matched(rows, files, path=self.path)
        captions = {name: self._captions(rows_of[name]) for name in files if name in rows_of}
        self._tell(files, captions, others)
        trained = found["train"].names
        found = {
            split: _subset(pictures, [bool(captions.get(name)) for name in pictures.names])
            for split, pictures in found.items()
        }
        if not len(found["train"]):
            raise self._without_captions(trained, rows_of)
        classes = self._classes([rows_of[name][0] for name in found["train"].names])
        return {
            split: self._described(pictures, captions, rows_of, classes)
            for split, pictures in found.items()
            if len(pictures)
        }

    def _without_captions(
        self, trained: Sequence[str], rows_of: Mapping[str, Sequence[Row]]
    ) -> UserError:
        """Return the error for training pictures that all have no caption."""
        if any(name in rows_of for name in trained):
            rule = (
                f"The column {self.columns['text_column']} of their rows is empty. "
                "For another column: data.text_column=NAME"
            )
        else:
            rule = (
                f"The column {self.columns['file_column']} must have names of pictures, such as "
                f"{printable(trained[0])}."
            )
        return UserError(f"data.path={self.path}: no training picture has a caption.\n{rule}")

    def _captions(self, rows: Sequence[Row]) -> list[str]:
        """Return the captions with a word of a picture; a JSON value may be a list of captions."""
        values = [row.values[self.columns["text_column"]] for row in rows]
        every = [each for value in values for each in (value if _is_list(value) else [value])]
        texts = ["" if each is None else str(each) for each in every]
        return [text for text in dict.fromkeys(texts) if split_words(text)]

    def _described(
        self,
        pictures: Pictures,
        captions: Mapping[str, Sequence[str]],
        rows_of: Mapping[str, Sequence[Row]],
        classes: Sequence[str],
    ) -> Pictures:
        """Return the pictures of a split with captions, labels and groups."""
        rows = [rows_of[name][0] for name in pictures.names]
        texts = [captions[name] for name in pictures.names]
        labels = None if not classes else self._labels(pictures.names, rows, classes)
        content = [pictures.fingerprint, list(pictures.names), labels]
        return dataclasses.replace(
            pictures,
            texts=[each[0] if len(each) == 1 else each for each in texts],
            groups=self._groups(pictures.names, rows),
            labels=labels,
            classes=list(classes),
            fingerprint=["captioned", hashlib.sha256(json.dumps(content).encode()).hexdigest()],
        )

    def _groups(self, names: Sequence[str], rows: Sequence[Row]) -> list[str] | None:
        if self.group is None:
            return None
        if "group" in self.columns:
            return [str(row.values[self.columns["group"]]) for row in rows]
        return group_keys(
            [name.rpartition("/")[2].rpartition(".")[0] for name in names], self.group
        )

    def _classes(self, rows: Sequence[Row]) -> list[str]:
        """Return the classes of the training pictures; [] without a column of labels."""
        column = self.columns.get("label_column")
        if column is None:
            return []
        return sorted({_shown(row.values[column]) for row in rows} - {""}, key=natural_key)

    def _labels(
        self, names: Sequence[str], rows: Sequence[Row], classes: Sequence[str]
    ) -> list[int]:
        column, numbers = self.columns["label_column"], {name: i for i, name in enumerate(classes)}
        values = [_shown(row.values[column]) for row in rows]
        for name, value in zip(names, values, strict=True):
            if value not in numbers:
                what = f"the class {printable(value)}" if value else "no class"
                raise UserError(
                    f"data.path={self.path}: {printable(name)} has {what} in the column {column}, "
                    "which no training picture has.\nFor pictures without labels: "
                    "data.label_column=null"
                )
        return [numbers[value] for value in values]

    def _tell_others(self, names: Sequence[str]) -> None:
        super()._tell_others([name for name in names if not is_metadata(name)])

    def _tell(
        self,
        files: Sequence[str],
        captions: Mapping[str, Sequence[str]],
        others: Sequence[Row],
    ) -> None:
        """Log how many pictures have no caption, and how many captions have no picture."""
        without = [name for name in files if not captions.get(name)]
        empty = sum(name in captions for name in without)
        if without:
            log.warning(
                "%s: left out for lack of a caption:\n%s of %s%s; the first is %s.",
                self.path, f"{len(without):,}", counted(len(files), "picture"),
                f" ({counted(empty, 'empty caption')})" if empty else "", printable(without[0]),
            )  # fmt: skip
        if others:
            outside = [row for row in others if is_outside(row)]
            log.warning(
                "%s: left out for lack of their pictures%s:\n%s; the first names %s.%s",
                self.path, "" if self.folder is None else f" in data.folder={self.folder}",
                counted(len(others), "caption"), printable(others[0].name) or "none",
                f"\n{printable(outside[0].name)} has '..': a picture must lie below the folder of "
                "its metadata file." if outside else "",
            )  # fmt: skip


def _subset(pictures: Pictures, chosen: Sequence[bool]) -> Pictures:
    """Return some of the pictures of a split."""
    numbers = [i for i, each in enumerate(chosen) if each]
    sizes = pictures.sizes if isinstance(pictures.sizes, list) else []
    return dataclasses.replace(
        pictures,
        names=[pictures.names[i] for i in numbers],
        read=lambda i: pictures.read(numbers[i]),
        sizes=[sizes[i] for i in numbers],
    )


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _shown(value: object) -> str:
    return "" if value is None else str(value)
