import contextlib
import json
import os
import struct
import zipfile

import numpy as np
import pytest

from limner.cache import cache_dir
from limner.data import ImageFolder
from limner.data.decode import first_shape
from limner.errors import UserError
from support import fakes


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("limner.data.listings.NUM_KEPT_FROM", 5)
    monkeypatch.setattr("limner.data.decode.NUM_KEPT_FROM", 5)


@pytest.fixture
def archive(tmp_path):
    fakes.images(tmp_path / "photos" / "train", 12, classes=3)
    fakes.images(tmp_path / "photos" / "test", 6, classes=3)
    return fakes.zipped(tmp_path / "photos")


@pytest.fixture
def parsed(monkeypatch):
    """Return how often the directory of an archive was parsed."""
    calls, real = [], zipfile.ZipFile._RealGetContents
    monkeypatch.setattr(
        zipfile.ZipFile, "_RealGetContents", lambda self: (calls.append(self), real(self))
    )
    return calls


def what_it_says(path):
    return {
        name: [split.names, split.labels, split.classes, split.fingerprint, split.sizes]
        for name, split in ImageFolder(path=str(path)).pictures().items()
    }


def test_zip_listing_is_parsed_once(archive, parsed):
    first = what_it_says(archive)
    assert len(parsed) == 1
    assert what_it_says(archive) == first
    assert len(parsed) == 1
    assert first["test"][1] == [0, 0, 1, 1, 2, 2]


def test_fingerprint_and_sizes_are_the_same_as_in_older_versions(archive):
    """A resumed run compares fingerprints, and fingerprints are keys of the cache."""
    with zipfile.ZipFile(archive) as opened:
        sizes = {info.filename: info.file_size for info in opened.infolist()}
    names = sorted(name for name in sizes if name.startswith("train/") and name[-1] != "/")
    status = archive.stat()
    for _ in range(2):
        train = ImageFolder(path=str(archive)).pictures()["train"]
        assert train.fingerprint == [names, [status.st_size, status.st_mtime_ns]]
        assert json.loads(json.dumps(train.sizes)) == [[name, sizes[name]] for name in names]


def test_zip_listing_is_parsed_again_when_the_archive_has_changed(archive, parsed):
    before = what_it_says(archive)["train"]
    with zipfile.ZipFile(archive, "a") as made:
        made.writestr("train/class_0/zz.png", b"")
    del parsed[:]
    after = what_it_says(archive)["train"]
    assert len(parsed) == 1
    assert len(after[0]) == len(before[0]) + 1
    assert after[3] != before[3]


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "missing", "pipe", "other"])
def test_zip_listing_is_made_again_when_the_cached_one_is_damaged(archive, parsed, caplog, damage):
    first = what_it_says(archive)
    (kept,) = cache_dir().glob("listings/*/listing")
    content = bytearray(kept.read_bytes())
    kept.unlink()
    if damage == "flipped":
        content[-10] ^= 1
        kept.write_bytes(content)
    elif damage == "truncated":
        kept.write_bytes(content[:-20])
    elif damage == "pipe":
        os.mkfifo(kept)
    elif damage != "missing":
        kept.write_bytes(b"" if damage == "empty" else b"\x80\x04\n[1, 2]")
    assert what_it_says(archive) == first
    assert "made again" in caplog.text
    assert what_it_says(archive) == first
    assert len(parsed) == 2


def test_first_shape_opens_no_picture_at_the_second_start(archive, parsed):
    def shape():
        return first_shape(ImageFolder(path=str(archive)).pictures()["train"])

    assert shape() == [3, 8, 8]
    del parsed[:]
    assert shape() == [3, 8, 8]
    assert not parsed
    (kept,) = cache_dir().glob("shapes/*/shape.json")
    kept.write_text("[3, true, -8]")
    assert shape() == [3, 8, 8]
    assert len(parsed) == 1


def rewritten(archive, rename, into, method=zipfile.ZIP_STORED):
    """Write a copy of the archive whose entries have other names, and return its path."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(into, "w", method) as new:
        for entry in old.infolist():
            if not entry.is_dir():
                new.writestr(rename(entry.filename), old.read(entry))
    return into


def test_zip_with_backslashes_has_the_same_labels_and_splits(archive, tmp_path):
    other = rewritten(archive, lambda name: name.replace("/", "\\"), tmp_path / "windows.zip")
    with zipfile.ZipFile(other) as opened:
        assert "train\\class_0\\0000.png" in opened.namelist()
    for _ in range(2):  # the second listing comes from the cache
        here, there = what_it_says(archive), what_it_says(other)
        for split in ("train", "test"):
            assert there[split][:3] == here[split][:3]
        train = ImageFolder(path=str(other)).pictures()["train"]
        same = ImageFolder(path=str(archive)).pictures()["train"]
        assert train.read(7).tobytes() == same.read(7).tobytes()


@pytest.mark.parametrize("name", ["..\\y.png", "photos\\..\\..\\y.png", "\\etc\\y.png"])
def test_zip_is_refused_when_a_name_with_backslashes_leads_out_of_it(archive, name):
    with zipfile.ZipFile(archive, "a") as made:
        made.writestr(name, b"")
    with pytest.raises(UserError, match="leads out of the archive"):
        what_it_says(archive)


def test_zip_that_is_cut_off_is_reported_as_cut_off(archive):
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"is only a part of a \.zip file: the directory"):
        what_it_says(archive)


def test_file_that_is_not_a_zip_is_reported_as_such(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"hello")
    with pytest.raises(UserError, match=r"neither a folder nor a \.zip file"):
        what_it_says(tmp_path / "a.zip")


def test_zip_of_several_volumes_is_refused_in_one_message(archive):
    """Python raises an exception even when asked whether it is a .zip file."""
    content = archive.read_bytes()
    at = content.rindex(b"PK\5\6")
    locator = struct.pack("<4sLQL", b"PK\6\7", 1, 0, 2)
    archive.write_bytes(content[:at] + locator + content[at:])
    with pytest.raises(UserError, match=r"damaged \.zip file \(.*multiple disks"):
        what_it_says(archive)


@pytest.mark.parametrize("seed", range(20))
def test_zip_with_a_damaged_directory_is_read_or_refused_by_a_message(archive, seed):
    content = bytearray(archive.read_bytes())
    random = np.random.default_rng(seed)
    first = content.index(b"PK\1\2")
    for at in random.integers(first, len(content), 30):
        content[at] = random.integers(256)
    archive.write_bytes(content)
    with contextlib.suppress(UserError):  # Nothing else is raised.
        what_it_says(archive)


def test_encrypted_zip_is_refused_with_its_reason(archive):
    content = bytearray(archive.read_bytes())
    at = content.index(b"PK\1\2", content.rindex(b"PK\3\4"))
    while content[at : at + 4] == b"PK\1\2":
        content[at + 8] |= 1
        at += 46 + sum(struct.unpack_from("<HHH", content, at + 28))
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"is encrypted \(18 of 18 files, .*\); limner cannot"):
        what_it_says(archive)
