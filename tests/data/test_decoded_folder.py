"""Decoded images in the cache: every picture that cannot be read is named."""

import pytest
import torch
from PIL import Image

from limner.cache import cache_dir
from limner.data import ImageFolder
from limner.data.backgrounds import WHITE
from limner.data.sources import Pictures
from limner.data.store import open_store
from limner.errors import UserError
from support import fakes


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))


def opened(pictures, on_corrupt="error", kind="memory"):
    return open_store(
        pictures, [3, 8, 8], kind=kind, memory_limit_gib=1.0, on_corrupt=on_corrupt,
        background=WHITE,
    )  # fmt: skip


@pytest.fixture
def some_broken(tmp_path):
    folder = fakes.images(tmp_path / "photos", 40)
    for i in (3, 7, 39):
        (folder / f"{i:04d}.png").write_bytes(b"broken")
    return folder


def test_all_corrupt_pictures_are_named_at_once(some_broken):
    with pytest.raises(UserError) as error:
        opened(ImageFolder(path=str(some_broken)).pictures()["train"])
    lines = str(error.value).splitlines()
    assert lines[0] == "3 of 40 images cannot be read:"
    assert [line.split(":")[0].strip() for line in lines[1:4]] == [
        "0003.png", "0007.png", "0039.png",
    ]  # fmt: skip
    assert lines[-1].endswith("data.on_corrupt=skip")
    assert not list(cache_dir().glob("images/*/about.json"))


def test_corrupt_pictures_are_counted_when_they_are_many(some_broken, monkeypatch):
    monkeypatch.setattr("limner.data.decoded_folder.MAX_SHOWN", 2)
    monkeypatch.setattr("limner.data.decoded_folder.CHUNK", 10)
    with pytest.raises(
        UserError, match=r"3 of 40 images[\s\S]*0007\.png.*\n  and 1 more\n"
    ) as error:
        opened(ImageFolder(path=str(some_broken)).pictures()["train"])
    assert "0039.png" not in str(error.value)


def test_skipped_pictures_are_named_one_per_line(some_broken, caplog):
    assert len(opened(ImageFolder(path=str(some_broken)).pictures()["train"], "skip")) == 37
    assert sum("no whole picture" in line for line in caplog.messages) == 3
    assert "Skipped 3 corrupt images." in caplog.messages


def test_source_without_a_readable_picture_is_refused_with_a_reason(tmp_path):
    (tmp_path / "a.png").write_bytes(b"broken")
    (tmp_path / "b.png").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"None of the 2 images.* a\.png cannot be read \(is no"):
        opened(ImageFolder(path=str(tmp_path)).pictures()["train"])


def test_streamed_store_suggests_only_options_that_it_accepts(some_broken):
    pictures = ImageFolder(path=str(some_broken)).pictures()["train"]
    with pytest.raises(UserError, match=r"0003\.png cannot be read") as error:
        opened(pictures, kind="streamed").gather(torch.tensor([3]))
    assert "data.store=mapped data.on_corrupt=skip" in str(error.value)
    with pytest.raises(UserError, match=r"choose data\.store=mapped, or data\.on_corrupt=error"):
        opened(pictures, "skip", kind="streamed")
    assert len(opened(pictures, "skip", kind="mapped")) == 37


def test_skip_names_the_cache_when_a_store_does_not_fit(some_broken, monkeypatch):
    monkeypatch.setattr("limner.data.store._disk_has_room", lambda size: False)
    pictures = ImageFolder(path=str(some_broken)).pictures()["train"]
    with pytest.raises(UserError, match=r"the cache .* has no room") as error:
        open_store(
            pictures, [3, 8, 8], kind="auto", memory_limit_gib=0.0, on_corrupt="skip",
            background=WHITE,
        )  # fmt: skip
    assert "LIMNER_CACHE=DIR" in str(error.value)


def test_full_disk_of_the_cache_is_reported_as_such(tmp_path, small_disk, monkeypatch):
    small_disk(tmp_path / "small", 200_000)
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "small"))
    names = [f"{i}" for i in range(2000)]
    pictures = Pictures(
        names, lambda i: Image.new("RGB", (8, 8)), None, [], fingerprint=0, sizes=names
    )
    with pytest.raises(UserError, match="No space left for the cache") as error:
        opened(pictures)
    assert str(tmp_path / "small") in str(error.value)
    assert not list((tmp_path / "small").glob("images/*.partial"))
