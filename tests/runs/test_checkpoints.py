"""Checkpoints are whole or absent, and the newest whole checkpoint is found."""

import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from limner.errors import UserError
from limner.files import atomic
from limner.runs.checkpoints import (
    numbered,
    problem,
    read,
    refuse_odd,
    tidy,
    update_of,
    update_path,
    write,
)
from limner.runs.newest_checkpoint import newest, newest_or_refuse


def state(update: int, size: int = 1000) -> dict:
    return {"state_dict": {"w": torch.full((size,), float(update))}, "global_step": update}


def written(run_dir, *updates: int) -> list:
    """Write checkpoints of these updates and return their files, the newest first."""
    for update in updates:
        write(state(update), update_path(run_dir, update))
    return numbered(run_dir)


def names(run_dir) -> list[str]:
    return sorted(path.name for path in (run_dir / "checkpoints").iterdir())


def test_read_returns_the_written_state(tmp_path):
    (path,) = written(tmp_path, 7)
    assert path.name == "update_00000007.ckpt"
    assert update_of(path) == 7
    assert problem(path) is None
    assert torch.equal(read(path)["state_dict"]["w"], torch.full((1000,), 7.0))
    with pytest.raises(ValueError, match="not named after an update"):
        update_of(path.with_name("best.ckpt"))


def test_numbered_is_ordered_by_update_when_names_are_not(tmp_path):
    updates = [99_999_999, 100_000_000, 5, 40]
    found = written(tmp_path, *updates)
    write(state(1), found[0].with_name("best.ckpt"))
    (found[0].parent / "update_7.ckpt.partial").touch()
    (found[0].parent / "update_x.ckpt").touch()
    assert [update_of(path) for path in numbered(tmp_path)] == sorted(updates, reverse=True)
    assert update_of(newest(tmp_path)) == 100_000_000
    assert numbered(tmp_path / "nowhere") == []
    assert newest(tmp_path / "nowhere") is None


@pytest.mark.parametrize("tenths", range(10))
def test_newest_skips_a_checkpoint_that_was_cut_off(tmp_path, caplog, tenths):
    last, before = written(tmp_path, 10, 20)
    os.truncate(last, last.stat().st_size * tenths // 10)
    assert newest(tmp_path) == before
    (warning,) = caplog.messages
    reason = "is empty" if tenths == 0 else "is cut off, or damaged at its end"
    assert warning == f"Skipped {last}: it {reason}."


@pytest.mark.parametrize("part", range(8))
def test_newest_skips_a_checkpoint_with_a_changed_byte(tmp_path, caplog, part):
    last, before = written(tmp_path, 10, 20)
    content = bytearray(last.read_bytes())
    content[random.Random(part).randrange(len(content))] ^= 1 << part
    last.write_bytes(content)
    assert newest(tmp_path) == before
    assert "damaged" in caplog.text
    with pytest.raises(UserError, match=r"update_00000020\.ckpt is .*damaged"):
        read(last)


class _Hostile:
    def __reduce__(self):
        return os.system, ("touch hacked",)


def test_newest_or_refuse_names_every_checkpoint_that_cannot_be_resumed(
    tmp_path, monkeypatch, caplog
):
    """All of them are named when there is no whole checkpoint to resume from."""
    monkeypatch.chdir(tmp_path)
    folder = written(tmp_path, 1)[0].parent
    (folder / "update_00000001.ckpt").write_bytes(pickle.dumps(_Hostile()))
    write({"w": _Hostile()}, folder / "update_00000002.ckpt")
    torch.save(state(3), folder / "update_00000003.ckpt")
    (folder / "update_00000004.ckpt").mkdir()  # a folder is no checkpoint
    assert newest(tmp_path) is None
    assert not caplog.messages, "warned without a checkpoint to resume from"
    with pytest.raises(UserError) as error:
        newest_or_refuse(tmp_path)
    assert str(error.value).splitlines() == [
        f"{tmp_path} has no whole checkpoint to resume from:",
        "update_00000003.ckpt has no checksum: an older version or another program wrote it.",
        (
            "update_00000002.ckpt is refused: a checkpoint holds tensors, but this "
            "checkpoint asks for posix.system, which was not run."
        ),
        "update_00000001.ckpt is cut off, or damaged at its end.",
    ]
    assert not (tmp_path / "hacked").exists()


def test_newest_silently_ignores_a_folder_with_the_name_of_a_checkpoint(tmp_path, caplog):
    (path,) = written(tmp_path, 5)
    folder = update_path(tmp_path, 9)
    folder.mkdir()
    (folder / "mine").touch()
    os.mkfifo(update_path(tmp_path, 8))
    assert numbered(tmp_path) == [path]
    assert newest(tmp_path) == path
    assert not caplog.messages
    assert problem(update_path(tmp_path, 8)) == "is no regular file"
    assert written(tmp_path, 9)[0] == folder, "the save of update 9 must replace the folder"
    assert folder.is_file()
    assert [kept.name for kept in folder.parent.glob("*.aside/*")] == ["mine"]
    tidy(tmp_path, update=9, since=5, keep_last=1)
    assert numbered(tmp_path) == [folder]


def test_read_accepts_a_checkpoint_without_a_checksum_if_allowed(tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save(state(3, size=5000), path)
    whole = path.read_bytes()
    assert read(path, unsigned=True)["global_step"] == 3
    with pytest.raises(UserError, match="has no checksum"):
        read(path)
    for damaged in (b"", whole[: len(whole) // 2], whole[:9000] + b"?" + whole[9001:]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"a\.ckpt is (empty|cut off|damaged)"):
            read(path, unsigned=True)


def test_damaged_checkpoint_with_a_checksum_does_not_pass_as_one_without(tmp_path):
    """This holds even if the CRC-32 is right: damage in padding, checksum or checksum length."""
    (path,) = written(tmp_path, 1)
    whole = path.read_bytes()
    for at in (60, len(whole) - 70, len(whole) - 79):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(UserError, match="damaged"):
            read(path, unsigned=True)


def test_write_syncs_the_file_before_the_rename_and_the_folder_after(tmp_path, monkeypatch):
    calls, fsync, replace = [], os.fsync, os.replace

    def traced_fsync(handle):
        calls.append(("fsync", Path(f"/proc/self/fd/{handle}").readlink().name))
        fsync(handle)

    def traced_replace(source, target):
        calls.append(("replace", source.name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", traced_fsync)
    monkeypatch.setattr(os, "replace", traced_replace)
    (path,) = written(tmp_path, 1)
    assert calls == [
        ("fsync", tmp_path.name),
        ("fsync", f"{path.name}.partial"),
        ("replace", f"{path.name}.partial"),
        ("fsync", "checkpoints"),
    ]


@pytest.mark.parametrize("step", ["open", "fsync", "replace", "save"])
def test_write_keeps_the_old_file_when_anything_fails(tmp_path, monkeypatch, step):
    (path,) = written(tmp_path, 1)
    before = path.read_bytes()

    def fail(*arguments, **options):
        raise OSError(5, "Input/output error")

    owner = {"open": atomic, "save": torch}.get(step, os)
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, fail, raising=False)
        with pytest.raises(OSError, match="Input/output"):
            write(state(2), path)
    assert path.read_bytes() == before
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("missing", [1, 50, 79, 300, 10_000, 10_000_000])
def test_write_keeps_the_old_file_when_a_limit_on_file_sizes_is_reached(tmp_path, missing):
    """The limit is reached in the checksum, in the archive's end, in a tensor, and at once."""
    (path,) = written(tmp_path, 1)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    write(state(2, 10_000), tmp_path / "whole.ckpt")
    room = max(0, (tmp_path / "whole.ckpt").stat().st_size - missing)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(state(2, 10_000), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert names(tmp_path) == [path.name]


def test_write_keeps_the_old_file_when_the_disk_is_full(tmp_path, small_disk):
    small_disk(tmp_path, 256 * 1024)
    (path,) = written(tmp_path, 1)
    before = path.read_bytes()
    for size in (70_000, 1_000_000):
        with pytest.raises(OSError, match="No space left"):
            write(state(2, size), update_path(tmp_path, 2))
        assert names(tmp_path) == [path.name]
    assert path.read_bytes() == before
    write(state(2, 30_000), update_path(tmp_path, 2))
    assert problem(update_path(tmp_path, 2)) is None


def test_killed_process_leaves_the_old_or_the_new_file_and_its_rest_is_removed(tmp_path):
    leftovers = 0
    for attempt in range(15):
        child = os.fork()
        if child == 0:
            for update in range(1, 1000):
                write(state(update, 300_000), update_path(tmp_path, update % 3))
            os._exit(0)
        time.sleep(0.02 + random.Random(attempt).random() / 20)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        leftovers += len(list((tmp_path / "checkpoints").glob("*.partial")))
        assert [problem(path) for path in numbered(tmp_path)] == [None] * len(numbered(tmp_path))
    assert leftovers, "no process was killed while it wrote"
    written(tmp_path, 7)
    assert not list((tmp_path / "checkpoints").glob("*.partial"))


@pytest.mark.parametrize(
    ("there", "since", "update", "stay"),
    [
        ([10, 20, 30], 20, 30, [20, 30]),
        ([10], 0, 10, [10]),
        # Checkpoints 20 and 30 were damaged, or were rolled back.
        ([10, 20, 30], 10, 15, [10, 15]),
        (
            [10, 20],
            10,
            20,
            [10, 20],
        ),  # Checkpoint 20 was damaged, and training reaches update 20 again.
        (
            [10, 20],
            10,
            30,
            [10, 30],
        ),  # Checkpoint 20 was damaged, and training has passed update 20.
        ([10, 20], 0, 5, [5]),  # the run was resumed from its start
    ],
)
def test_tidy_keeps_the_last_checkpoints_of_this_training(tmp_path, there, since, update, stay):
    written(tmp_path, *there, update)
    best = tmp_path / "checkpoints" / "best.ckpt"
    write(state(1), best)
    tidy(tmp_path, update=update, since=since, keep_last=2)
    assert sorted(update_of(path) for path in numbered(tmp_path)) == stay
    assert best.exists()
    tidy(tmp_path, update=update, since=since, keep_last=1)
    assert [update_of(path) for path in numbered(tmp_path)] == [update]


def test_names_of_checkpoints_are_found_without_torch():
    code = "import sys, limner.runs.checkpoints; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


WHOLE = {
    "state_dict": {}, "callbacks": {}, "loops": {}, "optimizer_states": [], "global_step": 1,
    "epoch": 0, "limner": {"version": "0.1.0"},
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [{"limner": 5}, {"limner": ["version"]}, {"callbacks": []}, {"state_dict": None},
     {"global_step": "1"}, {"optimizer_states": {}}, {"loops": 1.5}],
)  # fmt: skip
def test_refuse_odd_names_a_checkpoint_that_no_run_has_saved(changes):
    refuse_odd(WHOLE, Path("a.ckpt"))
    with pytest.raises(UserError, match=f"its {next(iter(changes))} has another form"):
        refuse_odd(WHOLE | changes, Path("a.ckpt"))
    with pytest.raises(UserError, match=r"a\.ckpt is not a checkpoint of a run"):
        refuse_odd([1, 2], Path("a.ckpt"))
