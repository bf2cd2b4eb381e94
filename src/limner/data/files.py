"""A folder and a .zip file, read in the same way."""

__all__ = ["IMAGE_SUFFIXES", "FileTree"]

import io
import os
import zipfile
from pathlib import Path

from PIL import Image

from limner.errors import UserError

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


class FileTree:
    """The files below a folder or inside a .zip file.

    Args:
        path: A folder or a .zip file. Raises `UserError` if it is neither.

    Attributes:
        names: Of the files, below the folder or in the .zip file.
        fingerprint: Changes with the files: names, sizes, times.
        sizes: Name to size in bytes, which a copy keeps.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        if path.is_dir():
            found = sorted(_walk(path))
            self.fingerprint: object = found
            self.sizes = {name: size for name, size, _ in found}
        elif path.is_file() and zipfile.is_zipfile(path):
            self._zip = zipfile.ZipFile(path)
            entries = sorted(self._zip.infolist(), key=lambda entry: entry.filename)
            self.sizes = {
                entry.filename: entry.file_size
                for entry in entries
                if not entry.is_dir() and not _hidden(entry.filename)
            }
            stat = path.stat()
            self.fingerprint = [stat.st_size, stat.st_mtime_ns]
        elif path.exists():
            raise UserError(f"data.path={path} is neither a folder nor a .zip file.")
        else:
            raise UserError(f"data.path={path} does not exist.")
        self.names = list(self.sizes)

    def open_image(self, name: str) -> Image.Image:
        """The decoded picture of a name; safe to call from several threads."""
        if self._zip is None:
            picture = Image.open(self.path / name)
        else:
            picture = Image.open(io.BytesIO(self._zip.read(name)))
        picture.load()
        return picture


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in Path(name).parts)


def _walk(root: Path) -> list[tuple[str, int, int]]:
    """(path below root, size, time) of every file that is not hidden."""
    found = []
    for folder, subfolders, files in os.walk(root, followlinks=True):
        subfolders[:] = [name for name in subfolders if not _hidden(name)]
        for name in files:
            if not _hidden(name):
                path = Path(folder, name)
                try:
                    stat = path.stat()
                except OSError as error:  # a dangling link
                    raise UserError(
                        f"data.path={root}: {path} cannot be read ({error})."
                    ) from error
                found.append((path.relative_to(root).as_posix(), stat.st_size, stat.st_mtime_ns))
    return found
