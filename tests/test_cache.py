"""Folders of the cache are whole or absent."""

import errno
import os
import threading

import pytest

from limner.cache import (
    CacheFull,
    cache_dir,
    cached_folder,
    discard_folder,
    find_folder,
    folder_lock,
)
from limner.errors import UserError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))


def fill(folder):
    (folder / "a").write_text("whole")


def test_cached_folder_builds_once_per_key():
    built = []
    for key in ("x", "x", "y"):
        folder = cached_folder("kind", key, lambda folder: built.append(fill(folder)))
        assert (folder / "a").read_text() == "whole"
    assert len(built) == 2


def test_cached_folder_keeps_nothing_of_a_build_that_failed():
    def fail(folder):
        fill(folder)
        raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        cached_folder("kind", "x", fail)
    assert find_folder("kind", "x") is None


def test_discard_folder_makes_the_next_call_build_again():
    folder = cached_folder("kind", "x", fill)
    assert find_folder("kind", "x") == folder
    discard_folder("kind", "x")
    assert find_folder("kind", "x") is None
    assert cached_folder("kind", "x", fill) == folder


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_cached_folder_names_the_cache_when_its_disk_is_full(code):
    def fail(folder):
        raise OSError(code, os.strerror(code))

    with pytest.raises(CacheFull) as error:
        cached_folder("kind", "x", fail)
    assert f"No space left for the cache ({cache_dir()})" in str(error.value)
    assert "LIMNER_CACHE=DIR" in str(error.value)
    # Scores are computed without the cache if nothing can be stored.
    assert isinstance(error.value, OSError)
    assert isinstance(error.value, UserError)
    assert find_folder("kind", "x") is None


def test_cached_folder_does_not_change_other_errors():
    def fail(folder):
        raise OSError(errno.EIO, "broken")

    with pytest.raises(OSError, match="broken") as error:
        cached_folder("kind", "x", fail)
    assert not isinstance(error.value, UserError)


def test_cached_folder_names_the_cache_on_a_real_full_disk(tmp_path, small_disk, monkeypatch):
    small_disk(tmp_path / "small", 100_000)
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "small"))
    with pytest.raises(CacheFull, match="No space left for the cache"):
        cached_folder("kind", "x", lambda into: (into / "a").write_bytes(bytes(200_000)))


def test_folder_lock_is_shared_by_all_paths_to_a_folder(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    ended = []

    def wait():
        with folder_lock(tmp_path / "link"):
            ended.append(True)

    with folder_lock(folder):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(timeout=0.3)
        assert not ended
    thread.join(timeout=120)
    assert ended
    assert not list(folder.iterdir())


def test_folder_lock_does_nothing_when_the_cache_cannot_be_written(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "file"))
    with folder_lock(tmp_path):
        pass
    assert "no lock" in caplog.text
