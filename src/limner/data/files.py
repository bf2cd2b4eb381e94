"""A common reader of folders and .zip files."""

__all__ = ["FileTree"]

import io
import threading
import zipfile
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from limner.data.listings import with_slashes, zip_listing
from limner.data.walks import walk
from limner.errors import UserError
from limner.files.pictures import MAX_BYTES, decode_picture
from limner.files.plain import NotPlainError, open_regular, read_bytes

ZIP_BEGINNINGS = (b"PK\3\4", b"PK\7\10")
"""First bytes of a .zip file with entries: its first entry, or the marker of a split archive."""


class FileTree:
    """The files below a folder or inside a .zip file.

    Links below a folder are followed wherever they lead, since data sets often consist of links:
    the user who names a folder as data.path has its links read too. A link back to a folder that
    contains it is refused. No file of a .zip file is extracted, and names that lead out of the
    archive are refused. If several entries have the same name, the last entry counts, as in an
    extraction.

    Args:
        path: Folder or .zip file. Raises `UserError` if it is neither.

    Attributes:
        names: Paths of the files below the folder or in the .zip file, sorted.
        fingerprint: Plain data that changes with the files: names, sizes, times.
        sizes: Size of each file in bytes by name; a copy of the files has the same sizes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._lock = threading.Lock()
        self._entries: dict[str, str] = {}  # original names in the .zip file, with backslashes
        try:
            self._is_folder = path.is_dir()
            if self._is_folder:
                found = sorted(walk(path))
                self.fingerprint: object = found
                self.sizes = {name: size for name, size, _ in found}
            else:
                self._list_zip()
        except UserError:  # may be an OSError too, e.g. if the cache has no room
            raise
        except OSError as error:
            raise UserError(
                f"data.path={path} cannot be read ({error.strerror or error})."
            ) from error
        self.names = list(self.sizes)

    def open_image(self, name: str) -> Image.Image:
        """Return the decoded picture of a name; may be called from several threads.

        Raises:
            NotPlainError: If the file is not a picture that `limner.files.pictures` reads.
            Exception: Any exception of zipfile for a damaged entry.
        """
        return decode_picture(self.content(name))

    def content(self, name: str) -> bytes:
        """Return the content of a file, up to the size of a picture file.

        Raises:
            NotPlainError: If the file is not regular, or too large.
            Exception: Any exception of zipfile for a damaged entry.
        """
        if self._is_folder:
            return read_bytes(self.path / name, max_bytes=MAX_BYTES)
        return _unpacked(self._archive(), self._entries.get(name, name))

    def open(self, name: str, *, max_bytes: int) -> BinaryIO:
        """Open a file for reading; a file in a .zip file is unpacked into memory.

        Args:
            name: Name of the file.
            max_bytes: Largest accepted size of a file of a folder; in a .zip file, the limit is
                the size of a picture file.

        Raises:
            NotPlainError: If the file is not regular, or too large.
            Exception: Any exception of zipfile for a damaged entry.
        """
        if self._is_folder:
            return open_regular(self.path / name, max_bytes=max_bytes)
        return io.BytesIO(self.content(name))

    def _list_zip(self) -> None:
        _refuse_other(self.path)
        listed = zip_listing(self.path)
        if any("\\" in name for name in listed):
            self._entries = {with_slashes(name): name for name in listed}
            names = sorted(name for name in self._entries if not name.endswith("/"))
            listed = {name: listed[self._entries[name]] for name in names}
        status = self.path.stat()
        self.sizes = listed
        self.fingerprint = [status.st_size, status.st_mtime_ns]

    def _archive(self) -> zipfile.ZipFile:
        """Return the .zip file, opened at the first picture since opening may take seconds."""
        with self._lock:
            if self._zip is None:
                self._zip = zipfile.ZipFile(self.path)
            return self._zip


def _refuse_other(path: Path) -> None:
    """Raise `UserError`, with the reason, for a path that is not a whole .zip file."""
    if not path.exists():
        raise UserError(f"data.path={path} does not exist.")
    if not path.is_file():
        raise UserError(f"data.path={path} is neither a folder nor a .zip file.")
    try:
        is_whole = zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # the directory exists; the parser reports what is wrong with it
        return
    if is_whole:
        return
    with path.open("rb") as file:
        begins = file.read(4)
    if begins in ZIP_BEGINNINGS:
        raise UserError(
            f"data.path={path} is only a part of a .zip file: the directory at its end is "
            "missing.\nCopy or download it again."
        )
    raise UserError(f"data.path={path} is neither a folder nor a .zip file.")


def _unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the content of an entry, not trusting the size in the archive's directory."""
    entry = archive.getinfo(name)
    bounded = entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    # decompressors of other methods return all output for their input at once: read little input
    step = MAX_BYTES + 1 if bounded else 4096
    content = bytearray()
    if entry.file_size <= MAX_BYTES:
        with archive.open(entry) as file:
            while len(content) <= MAX_BYTES and (data := file.read(step)):
                content += data
    if max(entry.file_size, len(content)) > MAX_BYTES:
        raise NotPlainError(f"is too large ({MAX_BYTES:,} bytes at most)")
    return bytes(content)
