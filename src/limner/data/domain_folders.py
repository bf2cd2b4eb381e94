"""Source of two domains of pictures: two folder names, in one path or in two paths."""

__all__ = ["DomainFolders"]

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from limner.data.files import FileTree
from limner.data.picture_folder import PictureFolder
from limner.data.sources import SPLIT_NAMES, Pictures
from limner.errors import UserError


class DomainFolders:
    """Two domains of pictures without labels; no picture of one belongs to one of the other.

    Folders named train, val and test above or below a domain's folder are splits. So are folders
    trainNAME, valNAME and testNAME, as in published data sets (trainA, trainB, testA, testB).

    Args:
        path: Folder or .zip file of domain a; `~` is the home folder.
        path_b: Folder or .zip file of domain b; None for the same path.
        folder_a: Name of the folders of domain a, at any depth; None for all pictures of the path.
        folder_b: Name of the folders of domain b.
    """

    def __init__(
        self, *, path: str, path_b: str | None, folder_a: str | None, folder_b: str | None
    ) -> None:
        if path_b is None and folder_a == folder_b:
            raise UserError(
                f"data.folder_a={folder_a} and data.folder_b={folder_b}: the two domains must be "
                "different folders\nof data.path; or give the second path, data.path_b=PATH."
            )
        self.path, self.path_b, self.folder_a, self.folder_b = path, path_b, folder_a, folder_b

    def domains(self) -> dict[str, "_Domain"]:
        """Return the source of each of the domains "a" and "b"."""
        other = self.path if self.path_b is None else self.path_b
        key = "data.path" if self.path_b is None else "data.path_b"
        return {
            "a": _Domain(
                self.path, self.folder_a, keys=("data.path", "data.folder_a"), tells=True
            ),
            "b": _Domain(
                other, self.folder_b, keys=(key, "data.folder_b"), tells=self.path_b is not None
            ),
        }


class _Domain:
    """Source of the pictures of one domain.

    Args:
        path: Folder or .zip file.
        folder: Name of the domain's folders, or None.
        keys: Keys of the path and the folder, for messages.
        tells: Whether to log which files of the path are left out.
    """

    def __init__(
        self, path: str, folder: str | None, *, keys: tuple[str, str], tells: bool
    ) -> None:
        self.path, self.folder, self.keys, self.tells = path, folder, keys, tells

    def pictures(self) -> dict[str, Pictures]:
        """Return the pictures of each split; without folders of splits, all are "train"."""
        try:
            return self._pictures()
        except UserError as error:
            path, folder = self.keys
            text = str(error).replace("data.path=", f"{path}=")
            raise UserError(text.replace("data.folder=", f"{folder}=")) from error

    def _pictures(self) -> dict[str, Pictures]:
        published = self._published(FileTree(Path(self.path).expanduser()).names)
        if "train" not in published:
            return _Folder(self.path, self.folder, tells=self.tells).pictures()
        return {
            split: _Folder(self.path, name, tells=self.tells and split == "train").pictures()[
                "train"
            ]
            for split, name in published.items()
        }

    def _published(self, names: Sequence[str]) -> dict[str, str]:
        """Return the folders that are splits of the domain, such as {"train": "trainA"}."""
        if self.folder is None:
            return {}
        folders = sorted({part for name in names for part in PurePosixPath(name).parent.parts})
        known = {f"{word}{self.folder}".lower(): split for word, split in SPLIT_NAMES.items()}
        return {known[name.lower()]: name for name in folders if name.lower() in known}


class _Folder(PictureFolder):
    def __init__(self, path: str, folder: str | None, *, tells: bool) -> None:
        super().__init__(path=path, folder=folder)
        self.tells = tells

    def _tell_others(self, names: Sequence[str]) -> None:
        if self.tells:
            super()._tell_others(names)
