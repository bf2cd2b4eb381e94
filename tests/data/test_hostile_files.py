"""Image folders and .zip files that are meant to do harm."""

import os
import socket
import struct
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageFile

from limner.data import ImageFolder
from limner.data.backgrounds import WHITE
from limner.data.store import open_store
from limner.errors import UserError
from limner.files.pictures import load_picture
from limner.files.plain import NotPlainError
from support import fakes

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def started(monkeypatch):
    """Return the calls of Ghostscript; none of them is executed."""
    calls = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: calls.append(a))
    return calls


def decode(path, on_corrupt="error"):
    """Return the store of a folder or .zip file; fail if decoding hangs, as on a pipe."""
    result = []

    def work() -> None:
        try:
            pictures = ImageFolder(path=str(path)).pictures()["train"]
            result.append(
                open_store(
                    pictures,
                    [3, 8, 8],
                    kind="memory",
                    memory_limit_gib=1.0,
                    on_corrupt=on_corrupt,
                    background=WHITE,
                )
            )
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout=120)
    assert result, "it hangs"
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


def large_picture(path: Path) -> None:
    Image.new("1", (12_000, 12_000)).save(path, "PNG")


def large_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**30)


def bound_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # The name of a socket must be short.
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


BAD = {
    "postscript": (lambda path: path.write_bytes(POSTSCRIPT), "no whole picture in PNG, JPEG"),
    "tga": (lambda path: Image.new("RGB", (8, 8)).save(path, "TGA"), "no whole picture"),
    "text": (lambda path: path.write_text("hello"), "no whole picture"),
    "empty": (lambda path: path.touch(), "no whole picture"),
    "pipe": (os.mkfifo, "no regular file"),
    "socket": (bound_socket, "cannot be read"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "no regular file"),
    "broken link": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "looping link": (lambda path: path.symlink_to(path.name), "symbolic links"),
    "12000x12000": (large_picture, "12000 x 12000 pixels"),
    "one gigabyte": (large_file, "too large"),
}


@pytest.mark.parametrize("kind", BAD)
def test_image_folder_names_the_picture_and_the_reason_when_it_is_refused(tmp_path, started, kind):
    make, reason = BAD[kind]
    folder = fakes.images(tmp_path / "photos", 3)
    make(folder / "y.png")
    with pytest.raises(UserError, match=reason) as error:
        decode(folder)
    assert "y.png" in str(error.value)
    assert "on_corrupt=skip" in str(error.value)
    assert len(decode(folder, "skip")) == 3
    assert not started


@pytest.mark.parametrize("kind", ["postscript", "12000x12000"])
def test_zip_entry_is_refused_like_a_file(tmp_path, started, kind):
    folder = fakes.images(tmp_path / "photos", 3)
    BAD[kind][0](folder / "y.png")
    archive = fakes.zipped(folder)
    with pytest.raises(UserError, match=BAD[kind][1]):
        decode(archive)
    assert len(decode(archive, "skip")) == 3
    assert not started


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PPM", "WEBP"])
@pytest.mark.parametrize("seed", range(8))
def test_damaged_file_of_every_format_is_read_or_named(tmp_path, kind, seed):
    """Random bytes of the file are changed; only limner's own error may be raised."""
    random = np.random.default_rng(seed)
    path = tmp_path / f"y.{kind.lower().replace('tiff', 'tif')}"
    noise = Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    noise.save(
        path, kind, **({} if kind == "PPM" else {"save_all": True, "append_images": [noise]})
    )
    content = bytearray(path.read_bytes())
    for at in random.integers(0, min(len(content), 400), 20):
        content[at] = random.integers(256)
    path.write_bytes(content[: int(random.integers(100, len(content)))] if seed % 2 else content)
    folder = fakes.images(tmp_path, 3)
    assert len(decode(folder, "skip")) in (3, 4)


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        ("gif", b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + b"," + bytes(10)),
        ("ppm", b"P6\n60000 60000\n255\n" + bytes(100)),
        ("tif", b"II*\0\x08\0\0\0\x03\0" + b"".join(
            struct.pack("<HHII", tag, 4, 1, value)
            for tag, value in ((256, 60_000), (257, 60_000), (273, 8))
        ) + bytes(4)),
    ],
)  # fmt: skip
def test_picture_that_claims_many_pixels_is_refused_before_it_is_decoded(
    tmp_path, monkeypatch, suffix, content
):
    folder = fakes.images(tmp_path / "photos", 2)
    (folder / f"y.{suffix}").write_bytes(content)
    loaded = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: loaded.append(self.size))
    with pytest.raises(NotPlainError, match=r"pixels"):
        load_picture(folder / f"y.{suffix}")
    assert not loaded


def claim_size(archive: Path, name: str, size: int) -> None:
    """Write a size into the directory of an archive that has no other entry of that name."""
    content = bytearray(archive.read_bytes())
    at = content.rindex(name.encode()) - 46
    assert content[at : at + 4] == b"PK\1\2"
    content[at + 24 : at + 28] = struct.pack("<I", size)
    archive.write_bytes(content)


def test_zip_entry_that_claims_a_gigabyte_is_not_unpacked(tmp_path, monkeypatch):
    archive = fakes.zipped(fakes.images(tmp_path / "photos", 3))
    claim_size(archive, "0001.png", 2**30)
    opened, real = [], zipfile.ZipFile.open
    monkeypatch.setattr(
        zipfile.ZipFile, "open", lambda self, entry: (opened.append(entry), real(self, entry))[1]
    )
    with pytest.raises(UserError, match=r"0001.png cannot be read \(is too large"):
        decode(archive)
    assert len(decode(archive, "skip")) == 2
    assert "0001.png" not in [entry.filename for entry in opened]


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
@pytest.mark.parametrize("claim", [None, 10])
def test_zip_entry_is_refused_when_it_is_larger_than_allowed(tmp_path, monkeypatch, method, claim):
    monkeypatch.setattr("limner.data.files.MAX_BYTES", 50_000)
    folder = fakes.images(tmp_path / "photos", 3)
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w", method) as made:
        for path in folder.iterdir():
            made.write(path, path.name)
        made.writestr("y.png", (folder / "0000.png").read_bytes() + bytes(100_000))
    if claim:
        claim_size(archive, "y.png", claim)
    with pytest.raises(UserError, match=r"y\.png cannot be read"):
        decode(archive)
    assert len(decode(archive, "skip")) == 3


@pytest.mark.parametrize("name", ["../y.png", "photos/../../y.png", "/etc/y.png"])
def test_zip_is_refused_when_a_name_leads_out_of_it(tmp_path, name):
    archive = fakes.zipped(fakes.images(tmp_path / "photos", 3))
    with zipfile.ZipFile(archive, "a") as made:
        made.writestr(name, b"")
    with pytest.raises(UserError, match=f"entry '{name}' leads out of the archive"):
        decode(archive)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_takes_the_last_entry_when_a_name_occurs_twice(tmp_path, caplog):
    archive = fakes.zipped(fakes.images(tmp_path / "photos", 3))
    Image.new("RGB", (8, 8), "white").save(tmp_path / "white.png")
    with zipfile.ZipFile(archive, "a") as made:
        made.write(tmp_path / "white.png", "0001.png")
    store = decode(archive)
    assert len(store) == 3
    assert (store.images[1] == 255).all()
    assert "the last entry of each name is used" in caplog.text


def test_zip_is_refused_when_its_directory_is_garbage(tmp_path):
    archive = fakes.zipped(fakes.images(tmp_path / "photos", 3))
    content = bytearray(archive.read_bytes())
    at = content.rindex(b"PK\1\2")
    content[at : at + 4] = b"junk"
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged \.zip file"):
        decode(archive)


@pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_DIRECTORY_BYTES"])
def test_zip_is_refused_before_its_directory_is_read_when_it_has_too_many_entries(
    tmp_path, monkeypatch, limit
):
    archive = fakes.zipped(fakes.images(tmp_path / "photos", 4))
    monkeypatch.setattr(f"limner.data.listings.{limit}", 3)
    monkeypatch.setattr(zipfile.ZipFile, "_RealGetContents", lambda self: pytest.fail("parsed"))
    with pytest.raises(UserError, match="4 entries"):
        decode(archive)


def test_folder_is_refused_when_a_link_leads_back(tmp_path):
    folder = fakes.images(tmp_path / "photos", 3)
    fakes.images(folder / "a" / "b", 1)
    (folder / "a" / "b" / "c").symlink_to(folder)
    with pytest.raises(UserError, match="photos/a/b/c is a link back to a folder"):
        decode(folder)


def test_folder_is_refused_when_links_multiply_it_beyond_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("limner.data.walks.MAX_FILES", 1000)
    for i in range(30):
        (tmp_path / f"d{i}").mkdir()
        for name in "ab":
            (tmp_path / f"d{i}" / name).symlink_to(tmp_path / f"d{i + 1}")
    fakes.images(tmp_path / "d30", 1)
    with pytest.raises(UserError, match="more than 1,000 files"):
        decode(tmp_path / "d0")


def test_folder_follows_links_to_pictures_and_folders_elsewhere(tmp_path):
    fakes.images(tmp_path / "elsewhere", 2)
    folder = fakes.images(tmp_path / "photos", 3)
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    (folder / "one.png").symlink_to(tmp_path / "elsewhere" / "0001.png")
    assert len(decode(folder)) == 6


@pytest.mark.parametrize(
    "damage", ["pickled labels", "pipe", "cut pixels", "cut labels", "empty about", "other about"]
)
def test_decoded_images_are_made_again_when_the_cached_ones_are_damaged(tmp_path, caplog, damage):
    folder = fakes.images(tmp_path / "photos", 4, classes=2)
    before = decode(folder)
    (kept,) = (path.parent for path in (tmp_path / "cache").glob("images/*/about.json"))
    if damage == "pickled labels":
        np.save(kept / "labels.npy", np.array([Hostile()], object), allow_pickle=True)
    elif damage == "pipe":
        (kept / "images.bin").unlink()
        os.mkfifo(kept / "images.bin")
    elif damage == "cut pixels":
        os.truncate(kept / "images.bin", 100)
    elif damage == "cut labels":
        np.save(kept / "labels.npy", before.labels[:2].numpy())
    else:
        (kept / "about.json").write_text("" if damage == "empty about" else "[1]")
    after = decode(folder)
    assert "decoding them again" in caplog.text
    assert (after.images == before.images).all()
    assert (after.labels == before.labels).all()
    assert after.fingerprint == before.fingerprint


class Hostile:
    """A pickle that fails the test when it is executed."""

    def __reduce__(self):
        return pytest.fail, ("executed",)
