"""Listings of the files below a folder."""

import os

import pytest

from limner.data.walks import walk
from limner.errors import UserError
from support import fakes


def test_walk_finds_the_same_files_as_pathlib(tmp_path):
    """Runs of earlier versions resume only if names, sizes and times are unchanged."""
    folder = fakes.images(tmp_path / "photos", 12, classes=3)
    fakes.images(folder / ".hidden", 2)
    (folder / "class_1" / ".hidden.png").touch()
    (folder / "notes.txt").write_text("not a picture, but a file")
    (folder / "empty").mkdir()
    expected = [
        (path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and "/." not in str(path.relative_to(tmp_path))
    ]
    assert sorted(walk(folder)) == sorted(expected)
    assert len(expected) == 13


def test_walk_refuses_a_link_to_a_folder_above_the_root(tmp_path):
    """The message names the link, and no file beside the root is read."""
    folder = fakes.images(tmp_path / "photos", 2)
    (folder / "up").symlink_to(tmp_path)
    with pytest.raises(UserError, match="photos/up is a link back to a folder"):
        walk(folder)


def test_walk_names_two_links_that_lead_to_each_other_once(tmp_path):
    folder = fakes.images(tmp_path / "photos", 4, classes=2)
    (folder / "class_0" / "x").symlink_to(folder / "class_1")
    (folder / "class_1" / "y").symlink_to(folder / "class_0")
    with pytest.raises(UserError, match="is a link back to a folder") as error:
        walk(folder)
    assert str(error.value).count("/x") + str(error.value).count("/y") <= 3


def test_walk_states_the_reason_when_the_root_cannot_be_read(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"cannot be read \(Permission denied\)"):
        walk(tmp_path)
