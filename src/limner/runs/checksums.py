"""Checksums of checkpoints: the SHA-256 of a zip archive, stored as the comment of the archive.

`torch.save` writes a zip archive without a comment. The last two bytes of such an archive are the
length of the comment, which is zero. The checksum covers the archive in this form. torch, zipfile
and unzip can read the archive with the comment. `torch.load` compares no checksums, so it reads a
changed byte as a different weight.
"""

__all__ = ["NO_CHECKSUM", "SignedFile", "damage"]

import hashlib
import os
import struct
from pathlib import Path
from typing import IO

PREFIX = b"limner sha256 "
LENGTH = len(PREFIX) + 64  # bytes of the comment
END = b"PK\x05\x06"
"""First bytes of the record of 22 bytes at the end of an archive; the comment follows it."""
END_LENGTH = 22
NO_CHECKSUM = "has no checksum: an older version or another program wrote it"
CHUNK = 1 << 20


class SignedFile:
    """Binary file for `torch.save` that adds the checksum as comment at the end.

    Args:
        file: Open file to write to.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._digest = file, hashlib.sha256()
        self._end = b""
        self._failure: OSError | None = None

    def write(self, data: bytes) -> int:
        # torch would turn an OSError into its own RuntimeError about positions, so the OSError is
        # stored for `finish`. torch also ignores short writes, but a buffered file has none.
        # test_full_disk_is_reported_as_such
        if self._failure is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._failure = error
            self._digest.update(data)
            self._end = (self._end + bytes(data[-END_LENGTH:]))[-END_LENGTH:]
        return len(data)

    def flush(self) -> None:
        """Do nothing: torch calls this method at the end, and the owner of the file flushes it."""

    def finish(self) -> None:
        """Write the comment.

        Raises:
            OSError: If the comment cannot be written, or an earlier write failed.
        """
        if self._failure is not None:
            raise self._failure
        if not self._end.startswith(END) or not self._end.endswith(b"\0\0"):
            raise RuntimeError(
                "torch.save has not written a zip archive that ends without a comment."
            )
        self._file.seek(-2, os.SEEK_END)
        comment = PREFIX + self._digest.hexdigest().encode()
        self._file.write(struct.pack("<H", LENGTH) + comment)


def damage(path: Path) -> str | None:
    """Check a checkpoint's end and checksum; return a description of its damage, or None."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return "is empty"
        file.seek(max(0, size - END_LENGTH - LENGTH))
        last = file.read()
        if last[-END_LENGTH:].startswith(END) and last.endswith(b"\0\0"):
            return NO_CHECKSUM
        end, comment = last[:END_LENGTH], last[END_LENGTH:]
        if not end.startswith(END) or len(comment) != LENGTH:
            return "is cut off, or damaged at its end"
        if not end.endswith(struct.pack("<H", LENGTH)) or not comment.startswith(PREFIX):
            return "is damaged at its end"
        digest = hashlib.sha256()
        file.seek(0)
        left = size - LENGTH - 2
        while left > 0 and (chunk := file.read(min(CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
        digest.update(b"\0\0")
        same = digest.hexdigest().encode() == comment.removeprefix(PREFIX)
        return None if same else "is damaged: its bytes differ from the written bytes (SHA-256)"
