"""Where pictures come from: each source lists the pictures of its splits and reads one by number.

A source decides nothing about sizes, splits that it does not have, or batches.
"""

__all__ = ["Digits", "ImageFolder", "Pictures", "Source", "TorchvisionSource"]

import glob
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from filelock import FileLock
from PIL import Image

from limner.data.files import IMAGE_SUFFIXES, FileTree
from limner.errors import UserError

log = logging.getLogger(__name__)

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


class TorchvisionSource:
    """A data set of torchvision's, downloaded once into its root.

    Args:
        splits: For each split a factory, which torchvision's class with all arguments but
            `download` makes.
        root: The folder that holds the files.
        files: A glob pattern below `root` of the files that make up the data set.
        urls: The addresses of those files, for those who must fetch them by hand.
        folder: Where below `root` the files belong.
        has_labels: Whether the targets are class numbers.
    """

    def __init__(
        self,
        *,
        splits: Mapping[str, Callable[..., Any]],
        root: str,
        files: str,
        urls: Sequence[str],
        folder: str,
        has_labels: bool,
    ) -> None:
        if Path(files).is_absolute() or ".." in Path(files).parts:
            raise UserError(f"data.source.files={files}: a pattern below data.root.")
        self.splits = splits
        self.root = Path(root).expanduser()
        self.files, self.urls, self.folder, self.has_labels = files, urls, folder, has_labels

    def pictures(self) -> dict[str, Pictures]:
        return {split: self._open(split, factory) for split, factory in self.splits.items()}

    def _open(self, split: str, factory: Callable[..., Any]) -> Pictures:
        self.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / ".limner.lock"):  # of several processes one downloads
            dataset = self._present(factory) or self._download(factory)
        labels = self._labels(dataset) if self.has_labels else None
        names = [f"{split} image {i}" for i in range(len(dataset))]
        classes = getattr(dataset, "classes", None) or range(max(labels) + 1 if labels else 0)
        stats = [(p, p.stat()) for p in map(Path, sorted(glob.glob(str(self.root / self.files))))]
        files = [[path.name, stat.st_size, stat.st_mtime_ns] for path, stat in stats]
        return Pictures(
            names=names,
            read=lambda i: dataset[i][0],
            labels=labels,
            classes=[str(name) for name in classes] if labels else [],
            fingerprint=[type(dataset).__name__, split, files],
            sizes=[type(dataset).__name__, split, [[name, size] for name, size, _ in files]],
        )

    def _present(self, factory: Callable[..., Any]) -> Any | None:
        try:
            return factory(root=str(self.root), download=False)
        except (RuntimeError, FileNotFoundError):  # torchvision's way of saying "not found"
            return None

    def _download(self, factory: Callable[..., Any]) -> Any:
        log.info("Downloading into %s ...", self.root)
        try:
            return factory(root=str(self.root), download=True)
        except (
            Exception
        ) as error:  # each data set fails in its own way: URLError, RuntimeError ...
            raise UserError(
                f"The data set could not be downloaded ({str(error).splitlines()[0]}).\n"
                "Where there is no network, fetch by hand:\n"
                + "".join(f"  {url}\n" for url in self.urls)
                + f"and put it into {self.root / self.folder}, or name another: data.root=DIR"
            ) from error

    @staticmethod
    def _labels(dataset: Any) -> list[int]:
        labels = dataset.targets if hasattr(dataset, "targets") else dataset.labels
        return [int(label) for label in labels]


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
        files = [name for name in tree.names if Path(name).suffix.lower() in IMAGE_SUFFIXES]
        if not files:
            what = "has no image" if tree.names else "is empty"
            raise UserError(
                f"data.path={self.path} {what}; images end in {', '.join(sorted(IMAGE_SUFFIXES))}."
            )
        parts = _below_common_folder(files)
        splits: dict[str, list[int]] = {}
        for i, path in enumerate(parts):
            splits.setdefault(SPLIT_NAMES.get(path[0].lower(), "") if path[1:] else "", []).append(
                i
            )
        if "" in splits or "train" not in splits:  # not a layout of splits
            return {"train": self._split(tree, files, parts)}
        classes = sorted({path[1] for path in parts if len(path) > 2})
        return {
            split: self._split(tree, [files[i] for i in at], [parts[i][1:] for i in at], classes)
            for split, at in splits.items()
        }

    def _split(
        self,
        tree: FileTree,
        files: list[str],
        parts: list[tuple[str, ...]],
        classes: list[str] | None = None,
    ) -> Pictures:
        classes = classes if classes is not None else sorted({p[0] for p in parts if len(p) > 1})
        labelled = len(classes) > 1 and all(len(path) > 1 for path in parts)
        number = {name: i for i, name in enumerate(classes)}
        return Pictures(
            names=files,
            read=lambda i: tree.open_image(files[i]),
            labels=[number[path[0]] for path in parts] if labelled else None,
            classes=classes if labelled else [],
            fingerprint=[files, tree.fingerprint],
            sizes=[[name, tree.sizes[name]] for name in files],
        )


def _below_common_folder(files: list[str]) -> list[tuple[str, ...]]:
    """Each file's path as parts, without the folders that all of them share."""
    parts = [Path(name).parts for name in files]
    while all(len(path) > 1 and path[0] == parts[0][0] for path in parts):
        parts = [path[1:] for path in parts]
    return parts
