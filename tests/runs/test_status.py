"""The status file of a run."""

import json
import os
from pathlib import Path

import pytest

import limner
from limner.errors import Interrupted, UserError
from limner.runs import status
from limner.runs.status import Status, StatusFile, read_status


def ended(folder: Path, error: BaseException | None) -> Status:
    file = StatusFile(folder)

    def train() -> None:
        with file.kept():
            file.begin(update=3)
            assert read_status(folder).state == "running"
            file.at(9)
            if error is not None:
                raise error

    if error is None:
        train()
    else:
        with pytest.raises(type(error)):
            train()
    return read_status(folder)


@pytest.mark.parametrize(
    ("error", "state", "line"),
    [
        (None, "finished", None),
        (Interrupted("Stopped after update 9."), "stopped", None),
        (KeyboardInterrupt(), "stopped", None),
        (SystemExit(1), "stopped", None),
        (UserError("The loss is nan.\nTry less."), "failed", "The loss is nan."),
        (ZeroDivisionError(), "failed", "ZeroDivisionError"),
    ],
)
def test_status_states_how_training_ended(tmp_path, error, state, line):
    found = ended(tmp_path, error)
    assert (found.state, found.error, found.update) == (state, line, 9)
    assert (found.pid, found.version, found.starts) == (os.getpid(), limner.__version__, 1)
    assert not list(tmp_path.glob("*.partial"))


def test_status_counts_later_starts_and_keeps_the_time_of_the_first(tmp_path):
    first = ended(tmp_path, ZeroDivisionError())
    second = ended(tmp_path, None)
    assert (second.starts, second.began) == (2, first.began)
    assert second.error is None


def test_status_file_writes_the_update_at_intervals(tmp_path, monkeypatch):
    file = StatusFile(tmp_path)
    file.at(1)
    assert read_status(tmp_path) is None, "nothing is written before training"
    with file.kept():
        file.begin(update=0)
        file.at(1)
        assert read_status(tmp_path).update == 0
        monkeypatch.setattr(status, "SECONDS", 0.0)
        file.at(2)
        assert read_status(tmp_path).update == 2


def test_status_file_is_unchanged_when_training_never_began(tmp_path):
    ended(tmp_path, ZeroDivisionError())
    before = (tmp_path / "status.json").read_text()
    file = StatusFile(tmp_path)
    with pytest.raises(UserError), file.kept():
        raise UserError("The data have changed.")
    assert (tmp_path / "status.json").read_text() == before


def test_status_file_that_cannot_be_written_does_not_stop_training(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(status, "SECONDS", 0.0)
    file = StatusFile(tmp_path)
    with file.kept():
        file.begin(update=0)
        monkeypatch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError(30, "ro")))
        file.at(1)
        file.at(2)
        assert len(caplog.records) == 1
    assert read_status(tmp_path).state == "running"


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"state": "runn', '{"extra": {}, "update": 3}'])
def test_incomplete_status_file_means_that_the_run_was_killed(tmp_path, text):
    (tmp_path / "status.json").write_text(text)
    assert read_status(tmp_path).state == "running"


def test_read_status_returns_the_known_fields_of_a_newer_file(tmp_path):
    text = json.dumps({"state": "pruned", "update": 3, "version": "9.1", "trial": 7})
    (tmp_path / "status.json").write_text(text)
    assert read_status(tmp_path) == Status(state="pruned", update=3, version="9.1")


def test_status_file_is_correct_at_the_end_when_the_disk_is_full(tmp_path, monkeypatch):
    """The new content fits into the room of the old file."""
    file = StatusFile(tmp_path)
    with file.kept():
        file.begin(update=0)
        monkeypatch.setattr(
            os, "replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "full"))
        )
    assert read_status(tmp_path).state == "finished"
    assert not list(tmp_path.glob("*.partial"))


def test_status_file_does_not_write_into_the_folder_of_another_run(tmp_path):
    is_ours = [True]
    file = StatusFile(tmp_path, may_write=lambda: is_ours[0])
    with file.kept():
        file.begin(update=0)
        before = (tmp_path / "status.json").read_text()
        is_ours[0] = False
    assert (tmp_path / "status.json").read_text() == before


def test_status_file_names_the_kind_of_a_shortage(tmp_path):
    assert ended(tmp_path, MemoryError()).error.startswith("Out of memory. Choose a smaller")


def test_read_status_is_none_without_a_file(tmp_path):
    assert read_status(tmp_path) is None


def test_read_status_leaves_out_values_of_another_type(tmp_path):
    (tmp_path / "status.json").write_text(
        '{"state": 5, "update": "x", "error": [1], "starts": true, "changed": 7, "version": "1.0"}'
    )
    assert read_status(tmp_path) == Status(version="1.0")
    (tmp_path / "status.json").write_text("[" * 100_000)
    assert read_status(tmp_path) == Status()
