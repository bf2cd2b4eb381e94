"""Source of pictures without labels: a folder or a .zip file, or one folder name in it."""

__all__ = ["PictureFolder"]

import dataclasses
import logging
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from limner.data.sources import ImageFolder, Pictures
from limner.errors import UserError
from limner.files.printable import printable

log = logging.getLogger(__name__)

LARGE_AND_SMALL = re.compile(r"(.*_)?HR"), re.compile(r"(.*_)?LR(_.*)?")
"""Names of the folders of published pairs: high resolution, and low resolution."""
MAX_LISTED = 8


class PictureFolder(ImageFolder):
    """The pictures below a folder or in a .zip file, without labels.

    Folders named train, val (valid, validation) and test at the top are splits, as for
    `ImageFolder`. Other folders have no meaning, except that of published pairs (HR beside LR_x4)
    only the pictures of high resolution are read: limner makes the inputs itself.

    Args:
        path: Folder or .zip file; `~` is the home folder.
        folder: Name of the folders whose pictures are read, at any depth; None for all pictures,
            or for those in HR if there are folders HR and LR.
    """

    def __init__(self, *, path: str, folder: str | None) -> None:
        super().__init__(path=path)
        self.folder = folder

    def pictures(self) -> dict[str, Pictures]:
        """Return the pictures of each split; without folders of splits, all are "train"."""
        return {
            split: dataclasses.replace(
                found, labels=None, classes=[], label_problem=None,
                fingerprint=[found.fingerprint, "no labels"],
            )
            for split, found in super().pictures().items()
        }  # fmt: skip

    def chosen(self, files: Sequence[str]) -> list[str]:
        """Return the files in the chosen folders.

        Raises:
            UserError: If no file lies in a folder of the chosen name.
        """
        folders = {name: PurePosixPath(name).parent.parts for name in files}
        names = sorted(set().union(*folders.values()))
        if self.folder is not None:
            found = [name for name in files if self.folder in folders[name]]
            if not found:
                listed = ", ".join(map(printable, names[:MAX_LISTED])) or "none"
                raise UserError(
                    f"data.folder={self.folder}: data.path={self.path} has no pictures in such a "
                    f"folder.\nIts folders: {listed}"
                )
            return found
        large, small = ({n for n in names if kind.fullmatch(n)} for kind in LARGE_AND_SMALL)
        if not large or not small:
            return list(files)
        found = [name for name in files if large & set(folders[name])]
        log.info(
            "%s: the %s pictures in %s are read,\n"
            "and the %s beside them are not; to choose others: data.folder=NAME",
            self.path, f"{len(found):,}", ", ".join(map(printable, sorted(large))),
            f"{len(files) - len(found):,}",
        )  # fmt: skip
        return found
