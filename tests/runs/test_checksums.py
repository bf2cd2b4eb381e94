"""An archive that reveals any change to itself."""

import hashlib
import io
import shutil
import subprocess
import sys
import zipfile

import pytest
import torch

from limner.runs.checksums import CHUNK, NO_CHECKSUM, SignedFile, damage

CONTENT = {"state_dict": {"w": torch.arange(40.0), "b": torch.zeros(3)}, "n": 1}


def signed(content) -> bytes:
    file = io.BytesIO()
    archive = SignedFile(file)
    torch.save(content, archive)
    archive.finish()
    return file.getvalue()


def said_of(path, content: bytes) -> str | None:
    path.write_bytes(content)
    return damage(path)


def test_signed_archive_is_the_archive_with_its_digest_as_comment():
    bare, whole = io.BytesIO(), signed(CONTENT)
    torch.save(CONTENT, bare)
    bare = bare.getvalue()
    assert whole[: len(bare) - 2] == bare[:-2]
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        assert archive.comment == b"limner sha256 " + hashlib.sha256(bare).hexdigest().encode()


def test_signed_archive_is_read_by_every_reader_of_archives(tmp_path):
    path = tmp_path / "a.ckpt"
    path.write_bytes(signed(CONTENT))
    for mmap in (True, False):
        loaded = torch.load(path, weights_only=True, mmap=mmap)
        assert torch.equal(loaded["state_dict"]["w"], CONTENT["state_dict"]["w"])
    testers = [[sys.executable, "-m", "zipfile", "-t"]]
    if (unzip := shutil.which("unzip")) is not None:
        testers.append([unzip, "-tq"])
    for tester in testers:
        subprocess.run([*tester, path], check=True, capture_output=True)


def test_changed_byte_anywhere_is_noticed(tmp_path):
    """This holds for names, paddings, tensors, the central directory, the end and the comment."""
    whole, path = signed(CONTENT), tmp_path / "a.ckpt"
    assert said_of(path, whole) is None
    changes = [(at, 1 << at % 8) for at in range(len(whole))]
    changes += [(at, 0x20) for at in range(len(whole) - 64, len(whole))]  # A becomes a
    for at, change in changes:
        changed = bytearray(whole)
        changed[at] ^= change
        assert "damaged" in (said_of(path, changed) or ""), (at, change)


def test_every_wrong_length_is_noticed(tmp_path):
    whole, path = signed(CONTENT), tmp_path / "a.ckpt"
    assert said_of(path, b"") == "is empty"
    for length in range(1, len(whole)):
        assert said_of(path, whole[:length]) == "is cut off, or damaged at its end", length
    assert said_of(path, whole + b"\0") is not None
    assert said_of(path, whole + whole[-78:]) is not None


def test_file_of_many_chunks_is_hashed_to_its_end(tmp_path):
    path = tmp_path / "a.ckpt"
    whole = signed({"w": torch.rand(CHUNK)})
    assert len(whole) > 4 * CHUNK
    assert said_of(path, whole) is None
    for at in (CHUNK - 1, CHUNK, 2 * CHUNK, len(whole) - 100 - 1):
        assert "is damaged" in said_of(path, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])


def test_archive_without_a_comment_is_distinguished_from_a_damaged_one(tmp_path):
    bare = io.BytesIO()
    torch.save(CONTENT, bare)
    assert said_of(tmp_path / "a.ckpt", bare.getvalue()) == NO_CHECKSUM
    with zipfile.ZipFile(tmp_path / "b.ckpt", "w") as archive:
        archive.writestr("a", "b")
        archive.comment = b"of another program, long enough to be taken for a checksum" * 2
    assert damage(tmp_path / "b.ckpt") == "is cut off, or damaged at its end"


class _Full:
    """A file on a disk that takes `room` bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, data) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(28, "No space left on device")
        return len(data)


@pytest.mark.parametrize("room", [0, 100, 700, 1500])
def test_full_disk_is_reported_as_such(room):
    """torch itself raises a RuntimeError about positions."""
    archive = SignedFile(_Full(room))
    torch.save(CONTENT, archive)
    with pytest.raises(OSError, match="No space left"):
        archive.finish()


def test_file_that_is_not_an_archive_is_not_signed():
    archive = SignedFile(io.BytesIO())
    archive.write(b"something else")
    with pytest.raises(RuntimeError, match="has not written a zip archive"):
        archive.finish()
