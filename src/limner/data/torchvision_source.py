"""Data sets of torchvision, read from a root folder that is not trusted."""

__all__ = ["TorchvisionSource"]

import errno
import glob
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from limner.cache import folder_lock
from limner.data.distrust import distrusted, is_torchvisions, item
from limner.data.sources import Pictures
from limner.errors import UserError
from limner.files.plain import NotPlainError, check_regular

log = logging.getLogger(__name__)

UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
"""Error numbers for a root that cannot be written; for the last two, a file is in its place."""
MAX_FILE_BYTES = 2**32
"""Size of the largest file that torchvision may read, 4 GiB; torchvision reads whole files."""


class TorchvisionSource:
    """A data set of torchvision, downloaded once into its root.

    A root that holds the files may be read-only: nothing else is ever written into it.

    Anyone who can write into the root decides what is trained on, but cannot run code. The files
    must be regular files of a bounded size. Pickles are read as plain arrays, and pictures in the
    formats and within the limits of `limner.files.pictures`. A data set class from outside
    torchvision reads its files without restrictions.

    Args:
        splits: Factory of the data set for each split: torchvision's class with all arguments but
            `root` and `download`.
        root: Folder with the files.
        files: Glob pattern below `root` of the files that make up the data set.
        urls: Addresses of those files, for users who must download them by hand.
        folder: Folder below `root` to which the files belong.
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
        """Return the splits, after downloading their files if necessary.

        Raises:
            UserError: If the files cannot be read.
        """
        return {split: self._open(split, factory) for split, factory in self.splits.items()}

    def _open(self, split: str, factory: Callable[..., Any]) -> Pictures:
        self._check_files(factory)
        with folder_lock(self.root):  # only one process downloads
            dataset = self._present(factory)
            if dataset is None:
                dataset = self._download(factory)
        labels = self._labels(dataset) if self.has_labels else None
        names = [f"{split} image {i}" for i in range(len(dataset))]
        classes = getattr(dataset, "classes", None) or range(max(labels) + 1 if labels else 0)
        stats = [(path, path.stat()) for path in self._files()]
        files = [[path.name, stat.st_size, stat.st_mtime_ns] for path, stat in stats]
        return Pictures(
            names=names,
            read=lambda i: _read(dataset, i),
            labels=labels,
            classes=[str(name) for name in classes] if labels else [],
            fingerprint=[type(dataset).__name__, split, files],
            sizes=[type(dataset).__name__, split, [[name, size] for name, size, _ in files]],
        )

    def _files(self) -> list[Path]:
        return [Path(path) for path in sorted(glob.glob(str(self.root / self.files)))]

    def _check_files(self, factory: Callable[..., Any]) -> None:
        """Raise UserError if a pipe, a device or the like is where torchvision expects a file."""
        if not is_torchvisions(factory):
            return
        downloads = [self.root / self.folder / Path(url).name for url in self.urls]
        for path in (*self._files(), *filter(Path.exists, downloads)):
            if not path.is_dir():
                try:
                    check_regular(path, max_bytes=MAX_FILE_BYTES)
                except NotPlainError as error:
                    raise UserError(f"{path} {error}: remove or repair the file.") from error

    def _present(self, factory: Callable[..., Any]) -> Any | None:
        """Return the data set, or None if its files do not exist."""
        try:
            with distrusted(factory):
                return factory(root=str(self.root), download=False)
        except FileNotFoundError:
            return None
        except Exception as error:  # data sets raise different exceptions for damaged files
            torchvisions = is_torchvisions(factory)
            if isinstance(error, RuntimeError) and ("not found" in str(error) or not torchvisions):
                return None  # data sets report missing files in this way
            if not torchvisions:
                raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"The files below {self.root / self.folder} are damaged, or belong to another "
                f"data set ({reason}).\n"
                "Remove them: the next run downloads them again."
            ) from error

    def _download(self, factory: Callable[..., Any]) -> Any:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if not os.access(self.root, os.W_OK):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            log.info("Downloading into %s ...", self.root)
            with distrusted(factory):
                return factory(root=str(self.root), download=True)
        except Exception as error:  # data sets raise various exceptions: URLError, RuntimeError
            if isinstance(error, OSError) and error.errno in UNWRITABLE:
                raise UserError(
                    f"data.root={self.root} does not hold the files of this data set, and nothing "
                    f"can be downloaded into it ({error.strerror}).\n"
                    f"Put the files into {self.root / self.folder}, or name a folder that holds "
                    "them or can be written: data.root=DIR"
                ) from error
            problem = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"The data set could not be downloaded ({problem}).\n"
                "Without a network, download these files by hand:\n"
                + "".join(f"  {url}\n" for url in self.urls)
                + f"and put them into {self.root / self.folder}, or choose another folder: "
                "data.root=DIR"
            ) from error

    def _labels(self, dataset: Any) -> list[int]:
        labels = dataset.targets if hasattr(dataset, "targets") else dataset.labels
        labels = [int(label) for label in labels]
        num_classes = len(getattr(dataset, "classes", labels))
        if len(labels) != len(dataset) or not all(0 <= label < num_classes for label in labels):
            raise UserError(
                f"The labels below {self.root / self.folder} do not fit: {len(labels):,} for "
                f"{len(dataset):,} images. Each label must be a class number from 0 to "
                f"{num_classes - 1}."
            )
        return labels


def _read(dataset: Any, i: int) -> Image.Image:
    picture = item(dataset, i)[0]
    picture.load()
    return picture
