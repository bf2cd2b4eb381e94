import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from limner.cache import cache_dir, cached_folder
from limner.data.backgrounds import WHITE
from limner.data.sources import ImageFolder, Pictures
from limner.data.store import MappedStore, MemoryStore, StreamedStore, open_store
from support import fakes


def numbered(num_images: int, reads: list[int] | None = None, name: str = "n") -> Pictures:
    """Return pictures of one grey value each, which is their number."""

    def read(i: int) -> Image.Image:
        if reads is not None:
            reads.append(i)
        return Image.new("L", (4, 3), i % 256)

    names = [f"picture {i}" for i in range(num_images)]
    labels = [i % 7 for i in range(num_images)]
    return Pictures(names, read, labels, list("abcdefg"), fingerprint=name, sizes=names)


def opened(pictures, kind="auto", memory_limit_gib=1.0):
    return open_store(
        pictures,
        [1, 3, 4],
        kind=kind,
        memory_limit_gib=memory_limit_gib,
        on_corrupt="error",
        background=WHITE,
    )


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("kind", "cls"),
    [("memory", MemoryStore), ("mapped", MappedStore), ("streamed", StreamedStore)],
)
def test_every_kind_of_store_gathers_the_same_images(kind, cls):
    store = opened(numbered(2500), kind)
    assert type(store) is cls
    assert len(store) == 2500
    indices = torch.tensor([0, 2499, 1030, 7, 7])
    images = store.gather(indices)
    assert images.shape == (5, 1, 3, 4)
    assert images.dtype == torch.uint8
    assert (images[:, 0, 0, 0] == indices % 256).all()
    assert (store.labels[indices] == indices % 7).all()


def test_auto_uses_a_mapped_file_for_large_data():
    assert type(opened(numbered(100), memory_limit_gib=0.0)) is MappedStore
    assert type(opened(numbered(100), memory_limit_gib=1.0)) is MemoryStore


def test_auto_streams_data_that_does_not_fit_on_the_disk(monkeypatch):
    monkeypatch.setattr("limner.data.store._disk_has_room", lambda size: False)
    assert type(opened(numbered(100), memory_limit_gib=0.0)) is StreamedStore
    assert not (cache_dir() / "images").exists()


def test_second_start_decodes_nothing():
    reads: list[int] = []
    opened(numbered(50, reads))
    assert len(reads) == 50
    opened(numbered(50, reads))
    assert len(reads) == 50
    opened(numbered(50, reads, name="changed"))
    assert len(reads) == 100


def test_truncated_or_newer_file_is_decoded_again(tmp_path):
    folder = fakes.images(tmp_path / "photos", 6, size=(4, 3), mode="L")
    first = opened(ImageFolder(path=str(folder)).pictures()["train"])
    Image.new("L", (4, 3), 77).save(folder / "0003.png")
    second = opened(ImageFolder(path=str(folder)).pictures()["train"])
    assert first.fingerprint != second.fingerprint
    assert (second.gather(torch.tensor([3])) == 77).all()


def test_fingerprint_covers_pixels_and_labels():
    """Places and times of files do not change the fingerprint, which the statistics depend on."""

    def fingerprint(name, read=lambda i: i, label=lambda i: i % 7, kind="memory"):
        numbers = range(6)
        pictures = Pictures(
            names=[str(i) for i in numbers],
            read=lambda i: Image.new("L", (4, 3), read(i)),
            labels=None if label is None else [label(i) for i in numbers],
            classes=list("abcdefg"),
            fingerprint=name,
            sizes=[],
        )
        return opened(pictures, kind).fingerprint

    first = fingerprint("here")
    assert len(first) == 64
    assert fingerprint("here") == fingerprint("copied") == first
    assert fingerprint("here", kind="mapped") == first
    others = {
        fingerprint("one pixel", read=lambda i: 7 if i == 3 else i),
        fingerprint("another order", read=lambda i: 5 - i),
        fingerprint("another label", label=lambda i: 0),
        fingerprint("no labels", label=None),
        fingerprint("here", kind="streamed"),
        fingerprint("copied", kind="streamed"),
    }
    assert len(others | {first}) == 7


def test_store_works_without_a_cache_that_cannot_be_written(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "file"))
    store = opened(numbered(5))
    assert len(store) == 5
    assert "not kept" in caplog.text


def _build_slowly(folder: Path) -> None:
    (folder / "started").touch()
    time.sleep(0.5)
    (folder / "content").write_text(str(os.getpid()))


def _open_in_process(cache: str, queue) -> None:
    os.environ["LIMNER_CACHE"] = cache
    queue.put((cached_folder("test", "key", _build_slowly) / "content").read_text())


def test_only_one_of_several_processes_builds_the_store():
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    arguments = (os.environ["LIMNER_CACHE"], queue)
    processes = [context.Process(target=_open_in_process, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    assert len({queue.get(timeout=120) for _ in processes}) == 1


def test_killed_process_leaves_no_incomplete_store():
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_open_in_process, args=(os.environ["LIMNER_CACHE"], queue))
    process.start()
    while not list(cache_dir().glob("test/*.partial/started")):
        time.sleep(0.01)
    process.kill()
    process.join()
    assert not [p for p in cache_dir().glob("test/*") if p.is_dir() and p.suffix != ".partial"]
    folder = cached_folder("test", "key", _build_slowly)
    assert (folder / "content").read_text() == str(os.getpid())
    assert not list(cache_dir().glob("test/*.partial"))


def test_failed_build_leaves_no_files():
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cached_folder("test", "key", fail)
    assert not [path for path in cache_dir().glob("test/*") if path.is_dir()]


def test_labels_of_skipped_pictures_are_left_out():
    def read(i: int) -> Image.Image:
        if i == 2:
            raise OSError("truncated")
        return Image.new("L", (4, 3), i)

    names = [str(i) for i in range(5)]
    pictures = Pictures(names, read, list(range(5)), list("abcde"), fingerprint="x", sizes=names)
    store = open_store(
        pictures, [1, 3, 4], kind="auto", memory_limit_gib=1.0, on_corrupt="skip", background=WHITE
    )
    assert store.labels.tolist() == [0, 1, 3, 4]
    assert np.array_equal(store.gather(torch.arange(4))[:, 0, 0, 0], [0, 1, 3, 4])
