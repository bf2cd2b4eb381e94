"""Folders of the cache are whole or absent."""

import pytest

from limner.cache import cached_folder, discard_folder, find_folder


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
