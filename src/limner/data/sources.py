"""Sources of pictures: each lists the pictures of its splits and reads one by its number.

A source does not handle image sizes, splits that it does not have, or batches.
"""

__all__ = [
    "Digits",
    "ImageFolder",
    "OpenedSource",
    "Pictures",
    "Source",
    "SourceError",
    "StoreSource",
]

import collections
import difflib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from limner.data.files import FileTree
from limner.data.listings import below_common_folder
from limner.errors import UserError
from limner.files.pictures import SUFFIXES
from limner.files.printable import counted, printable
from limner.interfaces import ImageStore

log = logging.getLogger(__name__)

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
MAX_LISTED = 8
"""Largest number of class folders or suffixes that a message lists."""


@dataclass(frozen=True)
class Pictures:
    """The pictures of one split of a source.

    limner checks them when it opens the data, and refuses values that break a rule below.
    """

    names: Sequence[str]
    """Name of each picture for messages: a list of text."""
    read: Callable[[int], Image.Image]
    """Function that returns the decoded picture of a number as a PIL image, or raises PIL's error
    if it is corrupt. PIL modes: 1, L, LA, P, RGB, RGBA, CMYK and others that PIL converts to RGB;
    I and I;16 with values up to 65535, F with values from 0 to 1."""
    labels: Sequence[int] | None
    """Class of each picture, integers 0 ... K - 1 for K `classes`; None for pictures without
    labels."""
    classes: Sequence[str]
    """Names of the K classes, the same in every split; empty without labels."""
    fingerprint: object
    """Plain JSON data (lists, text, numbers) that changes whenever a picture or a label changes:
    names, sizes and times of the files, and the arguments of the source.

    It decides whether limner reads the decoded images from the cache. For a class outside limner,
    its Python file, the names and the labels decide too. Without files, use a hash of the pixels,
    such as `hashlib.sha256(array.tobytes()).hexdigest()`, or a version that you change by hand."""
    sizes: object
    """Plain JSON data that changes with the names and sizes of the files, but not with the times,
    so that a copy of the files has equal data. A resumed run compares it. Without files, use the
    fingerprint."""
    label_problem: str | None = None
    """Reason why the class folders give no usable labels; None if the labels are usable, or if
    there are no class folders."""
    texts: Sequence[str | Sequence[str]] | None = None
    """Caption of each picture, or a list of its captions, one or more; None for pictures without
    captions."""
    groups: Sequence[str] | None = None
    """Key of the group of each picture: pictures of one group stay in one split where limner cuts
    the splits. None if each picture is its own group."""

    def __len__(self) -> int:
        return len(self.names)


class Source(Protocol):
    """A list of pictures for each split of a data set."""

    def pictures(self) -> Mapping[str, Pictures]:
        """Return a dict of the existing splits among "train", "validation" and "test".

        "train" must exist. limner cuts the other splits from "train" if they do not exist. Files
        are downloaded if necessary.
        """


class OpenedSource(NamedTuple):
    """What a source with stores of its own returns."""

    image_shape: list[int]
    """Shape [C, H, W] of the images."""
    classes: list[str]
    """Names of the classes; [] without labels."""
    stores: Mapping[str, ImageStore]
    """Store of each split; "train" must exist. A store has the attributes of
    `limner.data.store.MemoryStore` except `images`."""
    description: object
    """Plain JSON data that changes whenever a training image changes."""


@runtime_checkable
class StoreSource(Protocol):
    """A source with stores of its own, such as images that are computed when they are read."""

    def open_stores(self, image_shape: Sequence[int] | None, *, with_labels: bool) -> OpenedSource:
        """Return the stores of images of a shape (C, H, W); None for a shape that it chooses.

        Raises:
            UserError: If the source has no images of this shape.
        """


class SourceError(UserError):
    """A source that breaks a rule of `Pictures`, as opposed to a picture that is corrupt."""


class Digits:
    """The 1,797 handwritten digits of scikit-learn, with 8x8 pixels and 17 grey levels.

    They are the test set of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten
    Digits", UCI Machine Learning Repository, 1998.
    """

    def pictures(self) -> dict[str, Pictures]:
        """Return the digits as the split "train"."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        fingerprint = ["scikit-learn digits", int(images.sum(dtype=np.int64))]
        return {
            "train": Pictures(
                names=[f"digit {i}" for i in range(len(images))],
                read=lambda i: Image.fromarray(images[i]),
                labels=digits.target.tolist(),
                classes=[str(name) for name in digits.target_names],
                fingerprint=fingerprint,
                sizes=fingerprint,
            )
        }


class ImageFolder:
    """The pictures below a folder or in a .zip file, in the formats of `limner.files.pictures`.

    Folders named train, val (valid, validation) and test at the top are splits. Below them, or at
    the top, class folders give the labels, in alphabetical order. Pictures in no folder, or all in
    the same folder, have no labels. If some pictures are in class folders and others are beside
    them, or if a class has no training images, the pictures have a `label_problem`.

    Args:
        path: Folder or .zip file; `~` is the home folder.
    """

    suffixes = SUFFIXES

    def __init__(self, *, path: str) -> None:
        self.path = Path(path).expanduser()

    def pictures(self) -> dict[str, Pictures]:
        """Return the pictures of each split; without folders of splits, all are "train"."""
        tree, files = self.opened()
        files = self.chosen(files)
        folders = [name[: name.rfind("/") + 1] for name in files]
        below = below_common_folder(set(folders))
        in_split = {
            folder: SPLIT_NAMES.get(parts[0].lower(), "") if parts else ""
            for folder, parts in below.items()
        }
        if "" in in_split.values() or "train" not in in_split.values():  # no layout of splits
            classes = {folder: parts[0] if parts else None for folder, parts in below.items()}
            return {"train": self._pictures(tree, files, folders, classes)}
        classes = {folder: parts[1] if parts[1:] else None for folder, parts in below.items()}
        splits: dict[str, list[int]] = {}
        for i, folder in enumerate(folders):
            splits.setdefault(in_split[folder], []).append(i)
        problem = self._untrained_class({folders[i] for i in splits["train"]}, classes)
        return {
            split: self._pictures(
                tree, [files[i] for i in at], [folders[i] for i in at], classes, problem
            )
            for split, at in splits.items()
        }

    def opened(self) -> tuple[FileTree, list[str]]:
        """Return the files, and the names of those that are images; log how many are not.

        Raises:
            UserError: If no file is an image.
        """
        tree = FileTree(self.path)
        files = [name for name in tree.names if name.lower().endswith(self.suffixes)]
        if not files:
            what = "has no image" if tree.names else "is empty"
            raise UserError(
                f"data.path={self.path} {what}; images end in {', '.join(self.suffixes)}."
            )
        self._tell_others(tree.names)
        return tree, files

    def chosen(self, files: Sequence[str]) -> Sequence[str]:
        """Return the files to read, by default all; a subclass may leave some out."""
        return files

    def _pictures(
        self,
        tree: FileTree,
        files: list[str],
        folders: list[str],
        class_of: Mapping[str, str | None],
        problem: str | None = None,
    ) -> Pictures:
        """Return one split of `files`; `folders` has each file's folder, `class_of` its class."""
        classes = sorted(set(class_of.values()) - {None})
        without = {folder for folder in set(folders) if class_of[folder] is None}
        labelled = len(classes) > 1 and not without
        if len(classes) > 1 and without and len(without) < len(set(folders)):
            beside = [file for file, at in zip(files, folders, strict=True) if at in without]
            problem = problem or self._beside(beside, len(files), classes)
        of_class = {name: number for number, name in enumerate(classes)}
        number = {folder: of_class.get(name) for folder, name in class_of.items()}
        return Pictures(
            names=files,
            read=lambda i: tree.open_image(files[i]),
            labels=[number[folder] for folder in folders] if labelled else None,
            classes=classes if labelled else [],
            fingerprint=[files, tree.fingerprint],
            sizes=list(zip(files, map(tree.sizes.__getitem__, files), strict=True)),
            label_problem=problem,
        )

    def _beside(self, files: Sequence[str], total: int, classes: Sequence[str]) -> str:
        more = f" and {len(files) - 1:,} more" if len(files) > 1 else ""
        return (
            f"data.path={self.path}: {files[0]}{more} of {total:,} images are outside the class "
            f"folders ({_some(classes)}).\nMove them into class folders or away."
        )

    def _untrained_class(self, train: set[str], class_of: Mapping[str, str | None]) -> str | None:
        """Return an error message if a class has images, but no training images."""
        trained = {class_of[folder] for folder in train} - {None}
        for folder, name in sorted(class_of.items()):
            if not trained or name is None or name in trained:
                continue
            folded = {known.casefold(): known for known in sorted(trained)}
            close = difflib.get_close_matches(name.casefold(), folded, n=1)
            hint = f"; the nearest there is {folded[close[0]]}" if close else ""
            return (
                f"data.path={self.path}: the class folder {folder.rstrip('/')} has no training "
                f"images: there is no {name} in train{hint}.\nRename or remove the folder, or add "
                "training images."
            )
        return None

    def _tell_others(self, names: Sequence[str]) -> None:
        """Log in one line how many files are not images, by suffix."""
        others = [name for name in names if not name.lower().endswith(self.suffixes)]
        if others:
            kinds = collections.Counter(Path(name).suffix.lower() for name in others)
            kinds_counted = [
                f"{count:,} {printable(kind) or 'without a suffix'}"
                for kind, count in kinds.most_common()
            ]
            log.info(
                "%s: limner leaves out %s that it does not read: %s.",
                self.path, counted(len(others), "file"), _some(kinds_counted),
            )  # fmt: skip


def _some(words: Sequence[str]) -> str:
    """Join the first few words by commas, and append how many more there are."""
    more = f" and {len(words) - MAX_LISTED:,} more" if len(words) > MAX_LISTED else ""
    return ", ".join(words[:MAX_LISTED]) + more
