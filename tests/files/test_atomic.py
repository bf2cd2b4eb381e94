import os
import re
from pathlib import Path

import pytest

import limner
from limner.files.atomic import PARTIAL, atomic_file, sync_file, write_atomically


def test_write_atomically_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "status.json"
    write_atomically(path, "old")
    write_atomically(path, "nëw", sync=True)
    assert path.read_bytes() == "nëw".encode()
    assert [file.name for file in tmp_path.iterdir()] == ["status.json"]


def write_half(path, error):
    with atomic_file(path, sync=True) as file:
        file.write(b"half")
        assert path.with_name(path.name + PARTIAL).exists()
        raise error


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_atomic_file_keeps_the_old_file_when_writing_fails(tmp_path, error):
    path = tmp_path / "a.ckpt"
    path.write_text("old")
    with pytest.raises(type(error)):
        write_half(path, error)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.ckpt"]


def test_atomic_file_raises_when_the_disk_does_not_confirm_the_write(tmp_path, monkeypatch):
    def fail(handle: int) -> None:
        raise OSError(5, "Input/output error")

    path = tmp_path / "a"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        write_atomically(path, "new", sync=True)
    assert path.read_text() == "old"


def test_only_atomic_file_replaces_files():
    """The cache swaps whole folders, and `Path.rename` moves a damaged file aside."""
    source = Path(limner.__file__).parent
    replaces = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if re.search(r"\bos\.(replace|rename|renames)\b|[\"']\.partial[\"']", path.read_text())
    }
    assert replaces == {"files/atomic.py", "cache.py"}


def test_sync_file_flushes_the_buffer_to_the_disk(tmp_path):
    with open(tmp_path / "a", "wb") as file:
        file.write(b"text")
        sync_file(file)
        assert (tmp_path / "a").read_bytes() == b"text"
