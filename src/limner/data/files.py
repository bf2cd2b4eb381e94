"""A folder and a .zip file, read in the same way."""

__all__ = ["FileTree"]

import threading
import zipfile
from pathlib import Path

from PIL import Image

from limner.data.listings import zip_listing
from limner.data.walks import walk
from limner.errors import UserError
from limner.files.pictures import MAX_BYTES, decode_picture, load_picture
from limner.files.plain import NotPlainError


class FileTree:
    """The files below a folder or inside a .zip file.

    Links below a folder are followed, wherever they lead, since data sets are often made of them:
    whoever names a folder as data.path has its links read too. A link back to a folder that holds
    it is refused. Nothing of a .zip file is extracted, and names that would leave it are refused;
    of several entries with one name the last one counts, as when they are extracted.

    Args:
        path: A folder or a .zip file. Raises `UserError` if it is neither.

    Attributes:
        names: The files' paths below the folder or in the .zip file, sorted.
        fingerprint: Plain data that changes with the files: names, sizes, times.
        sizes: Name to size in bytes, which a copy keeps.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._lock = threading.Lock()
        self._is_folder = path.is_dir()
        if self._is_folder:
            found = sorted(walk(path))
            self.fingerprint: object = found
            self.sizes = {name: size for name, size, _ in found}
        elif path.is_file() and zipfile.is_zipfile(path):
            self.sizes = zip_listing(path)
            stat = path.stat()
            self.fingerprint = [stat.st_size, stat.st_mtime_ns]
        elif path.exists():
            raise UserError(f"data.path={path} is neither a folder nor a .zip file.")
        else:
            raise UserError(f"data.path={path} does not exist.")
        self.names = list(self.sizes)

    def open_image(self, name: str) -> Image.Image:
        """Return the decoded picture of a name; safe to call from several threads.

        Raises:
            NotPlainError: If it is not a picture that `limner.files.pictures` reads.
            Exception: What zipfile raises for a damaged entry.
        """
        if self._is_folder:
            return load_picture(self.path / name)
        return decode_picture(_unpacked(self._archive(), name))

    def _archive(self) -> zipfile.ZipFile:
        """The .zip file, opened when its first picture is read: that alone may take seconds."""
        with self._lock:
            if self._zip is None:
                self._zip = zipfile.ZipFile(self.path)
            return self._zip


def _unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    """The content of an entry, whose size in the directory of the archive may be a lie."""
    entry = archive.getinfo(name)
    bounded = entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    # a decompressor of the other methods returns all that its input stands for at once
    step = MAX_BYTES + 1 if bounded else 4096
    content = bytearray()
    if entry.file_size <= MAX_BYTES:
        with archive.open(entry) as file:
            while len(content) <= MAX_BYTES and (data := file.read(step)):
                content += data
    if max(entry.file_size, len(content)) > MAX_BYTES:
        raise NotPlainError(f"is too large ({MAX_BYTES:,} bytes at most)")
    return bytes(content)
