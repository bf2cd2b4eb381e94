"""Where pictures come from: each source lists the pictures of its splits and reads one by number.

A source decides nothing about sizes, splits that it does not have, or batches.
"""

__all__ = ["Digits", "ImageFolder", "Pictures", "Source"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from limner.data.files import FileTree
from limner.data.listings import parts_of
from limner.errors import UserError
from limner.files.pictures import SUFFIXES

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class Pictures:
    """One split of a source."""

    names: Sequence[str]
    """What to call each picture in a message."""
    read: Callable[[int], Image.Image]
    """The picture of a number, decoded; raises what PIL raises if it is corrupt."""
    labels: Sequence[int] | None
    classes: Sequence[str]
    """The names of the classes; empty without labels."""
    fingerprint: object
    """Plain data that changes with the files: names, sizes, times."""
    sizes: object
    """Likewise, without the times: the same for a copy of the files."""

    def __len__(self) -> int:
        return len(self.names)


class Source(Protocol):
    """Anything that can be asked for the pictures of a split."""

    def pictures(self) -> Mapping[str, Pictures]:
        """The splits there are, of "train", "validation" and "test"; downloads if need be."""


class Digits:
    """The 1,797 handwritten digits of 8x8 pixels and 17 grey levels that scikit-learn ships.

    They are the test set of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten
    Digits", UCI Machine Learning Repository, 1998.
    """

    def pictures(self) -> dict[str, Pictures]:
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
    """The pictures below a folder, or in a .zip file; PNG, JPEG, WebP or BMP.

    Folders named train, val (valid, validation) and test at the top are taken for splits. Below
    them, or at the top, class folders give the labels, in alphabetical order; pictures that lie in
    no folder, or all in the same, have none.
    """

    def __init__(self, *, path: str) -> None:
        self.path = Path(path).expanduser()

    def pictures(self) -> dict[str, Pictures]:
        tree = FileTree(self.path)
        files = [name for name in tree.names if name.lower().endswith(SUFFIXES)]
        if not files:
            what = "has no image" if tree.names else "is empty"
            raise UserError(f"data.path={self.path} {what}; images end in {', '.join(SUFFIXES)}.")
        folders = [name[: name.rfind("/") + 1] for name in files]
        below = _below_common_folder(set(folders))
        in_split = {
            folder: SPLIT_NAMES.get(parts[0].lower(), "") if parts else ""
            for folder, parts in below.items()
        }
        if "" in in_split.values() or "train" not in in_split.values():  # no layout of splits
            classes = {folder: parts[0] if parts else None for folder, parts in below.items()}
            return {"train": _pictures(tree, files, folders, classes)}
        classes = {folder: parts[1] if parts[1:] else None for folder, parts in below.items()}
        splits: dict[str, list[int]] = {}
        for i, folder in enumerate(folders):
            splits.setdefault(in_split[folder], []).append(i)
        return {
            split: _pictures(tree, [files[i] for i in at], [folders[i] for i in at], classes)
            for split, at in splits.items()
        }


def _pictures(
    tree: FileTree, files: list[str], folders: list[str], class_of: Mapping[str, str | None]
) -> Pictures:
    """One split: its files, the folder of each, and the class that a folder stands for."""
    classes = sorted(set(class_of.values()) - {None})
    labelled = len(classes) > 1 and all(class_of[folder] is not None for folder in set(folders))
    of_class = {name: number for number, name in enumerate(classes)}
    number = {folder: of_class.get(name) for folder, name in class_of.items()}
    return Pictures(
        names=files,
        read=lambda i: tree.open_image(files[i]),
        labels=[number[folder] for folder in folders] if labelled else None,
        classes=classes if labelled else [],
        fingerprint=[files, tree.fingerprint],
        sizes=list(zip(files, map(tree.sizes.__getitem__, files), strict=True)),
    )


def _below_common_folder(folders: set[str]) -> dict[str, list[str]]:
    """Each folder's path as parts, without the folders that all of them share."""
    parts = {folder: parts_of(folder) for folder in folders}
    first, last = min(parts.values()), max(parts.values())
    shared = 0
    while shared < len(first) and first[shared : shared + 1] == last[shared : shared + 1]:
        shared += 1
    return {folder: path[shared:] for folder, path in parts.items()}
