import logging

import pytest

from limner.data.domain_folders import DomainFolders
from limner.errors import UserError
from support import fakes


def source(path, **changes):
    arguments = {"path": str(path), "path_b": None, "folder_a": "A", "folder_b": "B"}
    return DomainFolders(**arguments | changes)


def names(domains):
    return {
        letter: {split: list(found.names) for split, found in own.pictures().items()}
        for letter, own in domains.domains().items()
    }


def test_domains_are_two_folders_of_a_path(tmp_path):
    fakes.images(tmp_path / "A", 2, size=(4, 4))
    fakes.images(tmp_path / "B", 1, size=(4, 4))
    fakes.images(tmp_path / "C", 1, size=(4, 4))
    assert names(source(tmp_path)) == {
        "a": {"train": ["A/0000.png", "A/0001.png"]}, "b": {"train": ["B/0000.png"]},
    }  # fmt: skip


def test_domains_are_two_paths(tmp_path):
    for name in ("photos", "paintings"):
        fakes.images(tmp_path / name, 1, size=(4, 4))
    given = source(
        tmp_path / "photos", path_b=str(tmp_path / "paintings"), folder_a=None, folder_b=None
    )
    assert names(given) == {"a": {"train": ["0000.png"]}, "b": {"train": ["0000.png"]}}


@pytest.mark.parametrize("layout", ["{split}/{domain}", "{domain}/{split}", "{split}{domain}"])
def test_folders_of_splits_may_be_above_below_or_in_the_name(tmp_path, layout):
    for split in ("train", "test"):
        for domain in "AB":
            fakes.images(tmp_path / layout.format(split=split, domain=domain), 1, size=(4, 4))
    found = names(source(tmp_path))
    for letter in "ab":
        folders = {
            split: layout.format(split=split, domain=letter.upper()) for split in ("train", "test")
        }
        assert found[letter] == {
            split: [f"{folder}/0000.png"] for split, folder in folders.items()
        }


def test_files_that_are_no_pictures_are_told_once(tmp_path, caplog):
    for split in ("train", "test"):
        for domain in "AB":
            fakes.images(tmp_path / f"{split}{domain}", 1, size=(4, 4))
    (tmp_path / "notes.txt").write_text("notes")
    with caplog.at_level(logging.INFO, "limner"):
        names(source(tmp_path))
    assert caplog.text.count("1 .txt") == 1


def test_messages_name_the_keys_of_the_domain(tmp_path):
    fakes.images(tmp_path / "A", 1, size=(4, 4))
    given = source(tmp_path).domains()
    with pytest.raises(UserError, match=r"data\.folder_b=B: data\.path=.*\n.*: A"):
        given["b"].pictures()
    with pytest.raises(UserError, match=r"data\.path_b=.*nowhere does not exist"):
        source(tmp_path, path_b=str(tmp_path / "nowhere")).domains()["b"].pictures()
    with pytest.raises(UserError, match="must be different folders"):
        source(tmp_path, folder_a="A", folder_b="A")
