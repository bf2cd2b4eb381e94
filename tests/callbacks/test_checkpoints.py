"""Checkpoints are whole or absent. The last few and the best are kept."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy

from limner.callbacks import checkpoint_io, checkpoints
from limner.callbacks.checkpoint_io import AtomicCheckpointIO
from limner.callbacks.checkpoints import Checkpoints, check_last
from limner.callbacks.measured import Measured
from limner.callbacks.signals import StopOnSignal
from limner.errors import Interrupted, UserError
from limner.models import Classifier
from limner.runs.checkpoints import numbered, update_of, update_path, write
from limner.runs.newest_checkpoint import newest

SMALL = [
    "model=classifier", "network=mlp", "metrics=none", "logger=none",
    "~callbacks.pictures", "accelerator=cpu",
]  # fmt: skip


class _Trainer:
    """A trainer with only the parts that checkpoints need, and a model of some weights."""

    def __init__(self, folder: Path, callback: Checkpoints) -> None:
        self.default_root_dir, self.callbacks = str(folder), [callback, Measured()]
        self.global_step, self.max_steps, self.world_size = 0, -1, 1
        self.current_epoch, self.is_global_zero, self.loggers = 0, True, []
        self.fit_loop = SimpleNamespace(
            epoch_end_is_due=False,
            validation_is_due=False,
            is_over=lambda num_epochs: self.global_step == self.max_steps,
        )
        self.lightning_module = L.LightningModule()
        self.lightning_module.w = torch.nn.Parameter(torch.zeros(10_000))
        self.strategy = SingleDeviceStrategy(checkpoint_io=AtomicCheckpointIO())

    def save_checkpoint(self, path: Path) -> None:
        callback = self.callbacks[0]
        state = {callback.state_key: callback.state_dict()}
        weights = self.lightning_module.state_dict()
        checkpoint = {"state_dict": weights, "global_step": self.global_step, "callbacks": state}
        self.strategy.checkpoint_io.save_checkpoint(checkpoint, path)

    def start(self, update: int) -> None:
        self.global_step = update
        self.callbacks[0].on_train_start(self, self.lightning_module)

    def train_to(self, update: int) -> None:
        while self.global_step < update:
            self.global_step += 1
            self.fit_loop.epoch_end_is_due = self.global_step == self.max_steps
            self.callbacks[0].on_train_batch_end(self, self.lightning_module)

    def end_epoch(self, **values: float) -> None:
        self.callbacks[1].add(self, {f"val/{name}": value for name, value in values.items()})
        self.callbacks[0].on_train_epoch_end(self, self.lightning_module)


def trainer(folder: Path, *, keep_last=2, minutes=1000.0, mode="min") -> _Trainer:
    callback = Checkpoints(
        every_num_updates=10,
        every_num_minutes=minutes,
        keep_last=keep_last,
        objective={"name": "val/x", "mode": mode},
    )
    made = _Trainer(folder, callback)
    made.start(0)
    return made


def updates(folder: Path) -> list[int]:
    return sorted(update_of(path) for path in numbered(folder))


def no_room(handle):
    raise OSError(28, "No space left on device")


def test_checkpoints_keeps_the_last_few(tmp_path):
    made = trainer(tmp_path, keep_last=3)
    made.train_to(9)
    assert updates(tmp_path) == []
    made.train_to(59)
    assert updates(tmp_path) == [30, 40, 50]
    alone = trainer(tmp_path / "alone", keep_last=1)
    alone.train_to(30)
    assert updates(tmp_path / "alone") == [30]


@pytest.mark.parametrize(("measured", "warns"), [("x", False), ("y", True)])
def test_checkpoints_warns_once_if_validation_does_not_measure_the_objective(
    tmp_path, caplog, measured, warns
):
    made = trainer(tmp_path)
    for _ in range(2):
        made.train_to(made.global_step + 1)
        made.callbacks[1].add(made, {f"val/{measured}": 1.0})
        made.callbacks[0].on_validation_end(made, made.lightning_module)
    expected = ["metrics.objective.name=val/x was not measured by the first validation"]
    found = [record.getMessage() for record in caplog.records]
    assert [message[: len(expected[0])] for message in found] == expected * warns
    assert all("There are: val/y." in message for message in found)


def test_checkpoints_refuses_to_keep_none():
    with pytest.raises(ValueError, match=r"callbacks\.checkpoints\.keep_last must be 1 or more"):
        Checkpoints(every_num_updates=1, every_num_minutes=1, keep_last=0, objective=None)


def test_checkpoints_saves_after_an_interval_of_time_too(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "MAX_SHARE", float("inf"))
    made = trainer(tmp_path, minutes=0.0)
    made.train_to(3)
    assert updates(tmp_path) == [2, 3]


def test_checkpoints_spends_a_small_share_of_the_time_when_saving_by_the_clock(
    tmp_path, monkeypatch
):
    now, save = [0.0], _Trainer.save_checkpoint

    def slow(self, path):
        now[0] += 3.0
        save(self, path)

    monkeypatch.setattr(checkpoints, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(_Trainer, "save_checkpoint", slow)
    made, written = trainer(tmp_path, minutes=1.0), []
    for update in range(1, 9):
        now[0] += 61.0
        made.train_to(update)
        if update in updates(tmp_path):
            written.append(update)
    assert written == [1, 4, 7], "an update takes 61 s, and a save 3 s"


def test_checkpoints_saves_the_end_of_training_once(tmp_path, monkeypatch):
    """This also holds when max_steps ends training in the middle of an epoch."""
    made = trainer(tmp_path)
    made.max_steps = 7
    made.train_to(7)
    assert updates(tmp_path) == [], "the checkpoint waits for the scores of its update"
    made.end_epoch()
    before = numbered(tmp_path)[0].stat().st_ino
    assert made.callbacks[0].save_last(made)
    assert numbered(tmp_path)[0].stat().st_ino == before
    assert updates(tmp_path) == [7]


@pytest.mark.parametrize(("mode", "kept"), [("min", [5, 3, 2]), ("max", [5, 6])])
def test_checkpoints_chooses_the_best_by_mode(tmp_path, mode, kept):
    made, chosen = trainer(tmp_path, mode=mode), []
    for update, value in enumerate([float("nan"), 5, 3, 3, float("nan"), 6, 2], start=1):
        made.global_step = update
        made.end_epoch(x=value)
        path = tmp_path / "checkpoints" / "best.ckpt"
        if path.exists() and torch.load(path, weights_only=True)["global_step"] == update:
            chosen.append(value)
    made.end_epoch(other=0.0)
    assert chosen == kept


def test_checkpoints_remembers_the_best_when_a_run_resumes(tmp_path):
    made = trainer(tmp_path)
    made.global_step = 10
    made.end_epoch(x=3.0)
    again = trainer(tmp_path)
    again.start(10)
    assert again.callbacks[0].best == 3.0
    assert trainer(tmp_path).callbacks[0].best is None, "a new run has no best score"


def test_checkpoints_replaces_a_broken_best_by_the_next_one(tmp_path, caplog):
    made, best = trainer(tmp_path), tmp_path / "checkpoints" / "best.ckpt"
    made.global_step = 10
    made.end_epoch(x=3.0)
    os.truncate(best, 1000)
    again = trainer(tmp_path)
    again.start(10)
    assert "best.ckpt is cut off" in caplog.text
    again.global_step = 20
    again.end_epoch(x=9.0)
    assert torch.load(best, weights_only=True)["global_step"] == 20


@pytest.mark.parametrize(("reached", "stay"), [(10, [5, 10]), (11, [5, 11]), (7, [5, 7])])
def test_checkpoints_does_not_count_a_broken_checkpoint_that_a_resume_skipped(
    tmp_path, reached, stay
):
    """A broken checkpoint does not count before, at or after its update."""
    for update in (5, 10):
        write({"global_step": update}, update_path(tmp_path, update))
    os.truncate(update_path(tmp_path, 10), 100)
    assert update_of(newest(tmp_path)) == 5
    made = trainer(tmp_path)
    made.start(5)
    assert updates(tmp_path) == [5, 10], "removed before a new one is saved"
    made.global_step = reached
    assert made.callbacks[0].save_last(made)
    assert updates(tmp_path) == stay
    assert update_of(newest(tmp_path)) == reached


def test_checkpoints_reports_a_failed_save_and_tries_again_at_the_next_interval(
    tmp_path, monkeypatch, caplog
):
    made = trainer(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_room)
        made.train_to(10)
        (message,) = caplog.messages
        assert message == (
            f"The checkpoint {update_path(tmp_path, 10)} could not be written (No space left on "
            "device). Training continues, and there is no earlier checkpoint."
        )
    made.train_to(19)
    assert updates(tmp_path) == [], "saved before the interval is over"
    made.train_to(20)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_room)
        made.train_to(30)
    assert "Training continues, and update_00000020.ckpt stays." in caplog.messages[1]
    assert updates(tmp_path) == [20]
    made.train_to(40)
    assert updates(tmp_path) == [20, 40]
    assert len(caplog.messages) == 2
    check_last(made)


def test_checkpoints_compares_with_the_old_best_when_saving_a_new_best_failed(
    tmp_path, monkeypatch, caplog
):
    """A later score is saved if it beats the old best, even if it is worse than the lost best."""
    made, best = trainer(tmp_path), tmp_path / "checkpoints" / "best.ckpt"
    made.global_step = 1
    made.end_epoch(x=5.0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_room)
        made.global_step = 2
        made.end_epoch(x=3.0)
    assert "best.ckpt could not be written" in caplog.text
    assert "the old best.ckpt stays" in caplog.text
    made.global_step = 3
    made.end_epoch(x=4.0)
    saved = torch.load(best, weights_only=True)
    assert saved["global_step"] == 3
    assert saved["callbacks"]["Checkpoints"]["best"] == 4.0


def test_checkpoints_reports_an_old_checkpoint_that_cannot_be_removed(
    tmp_path, monkeypatch, caplog
):
    made = trainer(tmp_path, keep_last=1)
    made.train_to(10)

    def forbidden(*arguments, **options):
        raise PermissionError(1, "Operation not permitted", "update_00000010.ckpt")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", forbidden)
        made.train_to(20)
    assert "An older checkpoint cannot be removed" in caplog.text
    made.train_to(30)
    assert updates(tmp_path) == [30]


def test_checkpoints_reports_that_the_last_checkpoint_could_not_be_saved(tmp_path, monkeypatch):
    made = trainer(tmp_path)
    made.train_to(10)
    monkeypatch.setattr(os, "fsync", no_room)
    made.max_steps = 17
    made.train_to(17)
    made.end_epoch()
    with pytest.raises(UserError, match=r"Training is over, but its last checkpoint .*No space"):
        check_last(made)


@pytest.mark.parametrize(
    ("is_full", "message"),
    [
        (False, "Stopped after update 4."),
        (True, "Stopped after update 4, whose checkpoint could not be written."),
    ],
)
def test_stop_message_names_no_checkpoint_when_none_exists(
    tmp_path, monkeypatch, is_full, message
):
    made, interrupts = trainer(tmp_path), StopOnSignal()
    made.train_to(4)
    interrupts._received = True
    if is_full:
        monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(Interrupted) as stop:
        interrupts.on_train_batch_end(made, made.lightning_module)
    assert str(stop.value) == message
    assert updates(tmp_path) == ([] if is_full else [4])
    made.callbacks = []
    with pytest.raises(Interrupted, match="after update 4, without a checkpoint"):
        interrupts.on_train_batch_end(made, made.lightning_module)


@pytest.mark.parametrize("without", [[], ["~callbacks.checkpoints"]])
def test_stop_message_states_how_to_resume_when_a_checkpoint_exists(run, monkeypatch, without):
    original = Classifier.training_step

    def stopped(self, *arguments):
        if self.global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *arguments)

    monkeypatch.setattr(Classifier, "training_step", stopped)
    result = run(*SMALL, *without, "hydra.run.dir=run")
    assert result.code == 1
    if without:
        said = "limner: Stopped after update 4, without a checkpoint (~callbacks.checkpoints)."
    else:
        said = "limner: Stopped after update 4.\nTo resume: python train.py resume=run"
    assert result.err.strip().endswith(said)


class _OtherRank(SingleDeviceStrategy):
    """A trainer as another process sees it while the first process is at update 5."""

    def broadcast(self, obj, src=0):
        return 5


def test_checkpoints_refuses_processes_that_resume_from_different_checkpoints(tmp_path):
    made = trainer(tmp_path)
    made.strategy = _OtherRank(checkpoint_io=AtomicCheckpointIO())
    made.start(5)
    with pytest.raises(UserError, match="the first process from update 5, this process from 4"):
        made.start(4)


class _Logger:
    def __init__(self, calls):
        self.calls = calls

    def save(self):
        self.calls.append("save")

    def sync(self):
        self.calls.append("sync")


def test_checkpoints_are_saved_after_the_rows_logged_before_them(tmp_path, monkeypatch):
    made, calls = trainer(tmp_path), []
    made.loggers = [_Logger(calls)]
    save = made.save_checkpoint
    monkeypatch.setattr(made, "save_checkpoint", lambda path: (calls.append("write"), save(path)))
    made.train_to(10)
    assert calls == ["save", "sync", "write"]


def test_run_keeps_its_last_checkpoints_and_the_best(run):
    result = run(
        "trainer.max_epochs=3", "trainer.limit_train_batches=4", "metrics.every_num_epochs=1",
        "metrics.num_samples=100", "metrics.features.num_updates=50", "network=mlp",
        "callbacks.checkpoints.every_num_updates=5", "~callbacks.pictures", "~callbacks.codes",
    )  # fmt: skip
    assert result.code == 0, result.err
    folder = result.only_run()
    assert updates(folder) == [10, 12]
    assert len(list((folder / "checkpoints").iterdir())) == 3
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    (state,) = (v for k, v in best["callbacks"].items() if k.startswith("Checkpoints"))
    scores = json.loads((folder / "scores.json").read_text())
    assert state["best"] <= scores["val/fid_classifier"]["value"] + 1e-3


def test_resume_takes_the_newest_whole_checkpoint(run, tmp_path):
    """The updates that were lost with the broken checkpoint are repeated bit for bit."""
    folder = tmp_path / "run"
    every = ["callbacks.checkpoints.every_num_updates=4", "trainer.max_steps=12"]
    assert run(*SMALL, *every, f"hydra.run.dir={folder}").code == 0
    last, before = numbered(folder)
    expected = torch.load(last, weights_only=True)
    os.truncate(last, last.stat().st_size // 2)
    result = run(f"resume={folder}")
    assert result.code == 0, result.err
    assert f"Skipped {last}: it is cut off" in result.out
    assert updates(folder) == [8, 12]
    found = torch.load(last, weights_only=True)
    for name, value in expected["state_dict"].items():
        assert torch.equal(value, found["state_dict"][name]), name
    config = (folder / "config.yaml").read_bytes()
    for path in (last, before):
        os.truncate(path, 1000)
    result = run(f"resume={folder}", "trainer.max_steps=20")
    assert result.code == 1
    assert "has no whole checkpoint to resume from:\nupdate_00000012.ckpt is cut off" in result.err
    assert (folder / "config.yaml").read_bytes() == config
    for path in (last, before):
        path.unlink()
    result = run(f"resume={folder}")
    assert result.code == 1
    assert "has no checkpoint to resume from yet" in result.err


@pytest.mark.slow
def test_run_survives_a_disk_that_fills_up(run, tmp_path, small_disk):
    """The disk has room for one checkpoint; the second and every further one fails."""
    one = tmp_path / "one"
    assert run(*SMALL, "trainer.max_steps=1", f"hydra.run.dir={one}").code == 0
    size = numbered(one)[0].stat().st_size
    folder = tmp_path / "disk" / "run"
    small_disk(folder.parent, size * 3 // 2 + 100_000)
    every = ["callbacks.checkpoints.every_num_updates=4", "trainer.max_steps=14"]
    result = run(*SMALL, *every, f"hydra.run.dir={folder}")
    for update in (8, 12, 14):
        assert (
            f"update_{update:08d}.ckpt could not be written (No space left on device). Training "
            "continues, and update_00000004.ckpt stays." in result.out
        )
    assert result.code == 1
    assert "Training is over, but its last checkpoint could not be written" in result.err
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["update_00000004.ckpt"]
    assert update_of(newest(folder)) == 4
    small_disk(folder.parent, size * 5)
    result = run(f"resume={folder}")
    assert result.code == 0, result.err
    assert updates(folder) == [12, 14]


def full_for_one_more(made, monkeypatch, room: int) -> None:
    """Let the disk refuse a further checkpoint while it has `room` checkpoints or more."""
    fsync = os.fsync

    def limited(handle):
        there = list(Path(made.default_root_dir, "checkpoints").glob("*.ckpt"))
        if stat.S_ISREG(os.fstat(handle).st_mode) and len(there) >= room:
            no_room(handle)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", limited)


def test_checkpoints_gives_up_the_oldest_when_the_disk_is_full(tmp_path, monkeypatch, caplog):
    made = trainer(tmp_path, keep_last=3)
    made.train_to(30)
    best = tmp_path / "checkpoints" / "best.ckpt"
    full_for_one_more(made, monkeypatch, room=3)
    made.train_to(40)
    assert updates(tmp_path) == [20, 30, 40]
    (message,) = caplog.messages
    assert message == (
        "The disk is full: update_00000010.ckpt had to be removed to make room for "
        "update_00000040.ckpt. This may happen again, without a further warning."
    )
    made.train_to(50)
    assert updates(tmp_path) == [30, 40, 50]
    assert len(caplog.messages) == 1
    made.global_step = 51
    made.end_epoch(x=1.0)
    assert best.exists(), "the best checkpoint was not saved"
    assert updates(tmp_path) == [40, 50]
    check_last(made)


@pytest.mark.parametrize("broken", [False, True])
def test_checkpoints_never_gives_up_the_newest_whole_one(tmp_path, monkeypatch, caplog, broken):
    made = trainer(tmp_path, keep_last=3)
    made.end_epoch(x=1.0)  # best.ckpt
    made.train_to(30)
    if broken:
        os.truncate(update_path(tmp_path, 30), 1000)
    monkeypatch.setattr(os, "fsync", no_room)
    made.train_to(40)
    assert updates(tmp_path) == ([20] if broken else [30])
    assert (tmp_path / "checkpoints" / "best.ckpt").exists()
    assert "could not be written (No space left on device)" in caplog.text
    with pytest.raises(UserError):
        check_last(made)


def test_checkpoints_gives_up_none_when_that_would_not_free_enough(tmp_path, monkeypatch):
    made = trainer(tmp_path, keep_last=3)
    made.train_to(30)
    monkeypatch.setattr(os, "fsync", no_room)
    size = update_path(tmp_path, 30).stat().st_size
    os.truncate(update_path(tmp_path, 10), 0)
    os.truncate(update_path(tmp_path, 20), size // 2)
    free = SimpleNamespace(free=size // 4)
    monkeypatch.setattr(checkpoint_io.shutil, "disk_usage", lambda folder: free)
    made.train_to(40)
    assert updates(tmp_path) == [10, 20, 30]


def test_run_keeps_its_newest_checkpoint_when_the_disk_holds_two(run, tmp_path, small_disk):
    """To keep two checkpoints, a run needs room for three, or removes the older one first."""
    one = tmp_path / "one"
    assert run(*SMALL, "trainer.max_steps=1", f"hydra.run.dir={one}").code == 0
    size = numbered(one)[0].stat().st_size
    folder = tmp_path / "disk" / "run"
    small_disk(folder.parent, size * 5 // 2 + 100_000)
    every = ["callbacks.checkpoints.every_num_updates=4", "trainer.max_steps=14"]
    result = run(*SMALL, *every, f"hydra.run.dir={folder}")
    assert result.code == 0, result.err
    assert result.out.count("The disk is full: update_00000004.ckpt had to be removed") == 1
    assert "could not be written" not in result.out
    assert updates(folder) == [12, 14]


@pytest.mark.slow
@pytest.mark.usefixtures("forking")
def test_full_disk_stops_neither_of_two_processes(tmp_path, small_disk):
    folder = tmp_path / "disk" / "run"
    small_disk(folder.parent, 200_000)
    program = Path(__file__).parents[2] / "train.py"
    words = [*SMALL[:-1], "accelerator=ddp_cpu", "callbacks.checkpoints.every_num_updates=2"]
    result = subprocess.run(
        [sys.executable, program, *words, "trainer.max_steps=5", f"hydra.run.dir={folder}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    assert result.stdout.count("could not be written (No space left on device)") == 3
    assert "Training is over, but its last checkpoint could not be written" in result.stderr
    assert "Traceback" not in result.stderr
    assert list((folder / "checkpoints").iterdir()) == []
