"""A run that is stopped from outside at any moment and resumed equals the uninterrupted run."""

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from rich.table import Table

from limner import console
from limner.callbacks import signals
from limner.callbacks.pictures import Pictures
from limner.callbacks.scores import Scores
from limner.callbacks.signals import SeedPerUpdate
from limner.data import store
from limner.launch.job import wait_for
from limner.metrics import classifier
from limner.models import VAE
from limner.models.lightning_internals import FitLoop
from limner.runs.status import read_status
from limner.training import train as train_module
from support.runs import last_checkpoint

RUN = [
    "trainer.max_epochs=2", "metrics.every_num_epochs=1", "metrics.num_samples=20",
    "metrics.batch_size=10", "callbacks.log.every_num_updates=5", "logger=csv",
    "callbacks.pictures.every_num_updates=15", "data.batch_size=64", "network=mlp",
    "~callbacks.codes",
]  # fmt: skip
"""Two epochs of 22 updates; scores take two batches of samples."""


@pytest.fixture
def scored(tmp_path: Path) -> Callable[..., list[str]]:
    """Return overrides that score by a feature network with this many seconds per batch."""

    def overrides(seconds: float) -> list[str]:
        file = tmp_path / "mine" / "metrics" / "features" / "slow.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"_target_: support.fakes.SlowFeatures\nseconds: {seconds}\n")
        return ["--config-dir", str(tmp_path / "mine"), "metrics=classifier",
                "metrics/features=slow", "metrics.objective.name=val/fid_pixels"]  # fmt: skip

    return overrides


@pytest.fixture
def strike(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Send a signal to this process in a method of a callback, at an update, once."""

    def at(owner: type, method: str, update: int, number: int) -> None:
        original, left = getattr(owner, method), [number]

        def struck(self, trainer, *arguments):
            if trainer.global_step == update and left:
                os.kill(os.getpid(), left.pop())
            return original(self, trainer, *arguments)

        monkeypatch.setattr(owner, method, struck)

    return at


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as file:
        found = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in found]


def checkpoint(folder: Path, name: str = "last") -> dict:
    path = last_checkpoint(folder) if name == "last" else folder / "checkpoints" / "best.ckpt"
    return torch.load(path, weights_only=True)


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def assert_same_run(a: Path, b: Path) -> None:
    assert rows(a) == rows(b)
    assert json.loads((a / "scores.json").read_text()) == json.loads(
        (b / "scores.json").read_text()
    )
    for name in ("last", "best"):
        x, y = checkpoint(a, name), checkpoint(b, name)
        for key in ("epoch", "global_step", "state_dict", "optimizer_states", "loops"):
            assert same(x[key], y[key]), (name, key)
    pictures = sorted(path.relative_to(a) for path in a.rglob("*.png"))
    assert pictures == sorted(path.relative_to(b) for path in b.rglob("*.png"))
    assert all((a / path).read_bytes() == (b / path).read_bytes() for path in pictures)


MOMENTS = {
    "update": (SeedPerUpdate, "on_train_batch_start", 7, signal.SIGUSR1),
    "drawing": (Pictures, "on_train_batch_end", 15, signal.SIGTERM),
    "validation": (SeedPerUpdate, "on_validation_start", 22, signal.SIGINT),
    "scores": (Scores, "_score", 22, signal.SIGTERM),
    "last scores": (Scores, "_score", None, signal.SIGUSR1),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "length", "last"),
    [
        ("vae", "trainer.max_epochs=2", 44),
        ("gan", "trainer.max_steps=40", 40),
    ],
)
def test_run_with_signals_at_every_kind_of_moment_equals_the_uninterrupted_run(
    run, tmp_path, scored, strike, model, length, last
):
    """This holds even if max_steps cuts off the last epoch, as in the GAN's run."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    common = [*scored(0.0), *RUN, f"model={model}", length]
    first = run(*common, f"hydra.run.dir={whole}")
    assert first.code == 0, first.err
    command = [*common, f"hydra.run.dir={parts}"]
    for name, (owner, method, update, number) in MOMENTS.items():
        if name == "validation" and model == "gan":
            continue  # There is nothing to validate.
        strike(owner, method, update or last, number)
        result = run(*command)
        assert result.code == 1, (name, result.out, result.err)
        own = shlex.join(common[:2])
        assert f"To resume: python train.py {own} resume=" in result.err, name
        stopped = checkpoint(parts)["global_step"]
        assert stopped == {7: 8, None: last}.get(update, update), name
        updates_scored = [row["update"] for row in rows(parts) if row.get("val/fid_pixels")]
        assert updates_scored == (["22"] if name == "last scores" else []), name
        # The class of features is given by the command.
        command = [*common[:2], f"resume={parts}"]
    assert run(*command).code == 0
    assert_same_run(whole, parts)


@pytest.mark.slow
def test_interrupted_validation_is_repeated_as_a_whole(run, tmp_path, monkeypatch):
    """Validation is in the middle of an epoch, or where max_steps ends the run."""
    original, left = VAE.validation_step, [10, 30]

    def struck(self, batch, batch_idx):
        if batch_idx == 1 and self.global_step in left:
            left.remove(self.global_step)
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batch, batch_idx)

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    words = [*RUN[4:], "metrics=none", "metrics.objective={name: val/loss, mode: min}",
             "trainer.max_steps=30", "+trainer.val_check_interval=5",
             "callbacks.checkpoints.every_num_updates=5"]  # fmt: skip
    assert run(*words, f"hydra.run.dir={whole}").code == 0
    monkeypatch.setattr(VAE, "validation_step", struck)
    command = [*words, f"hydra.run.dir={parts}"]
    for update in (10, 30):
        assert run(*command).code == 1
        assert checkpoint(parts)["global_step"] == update
        assert not rows(parts)[-1].get("val/loss")
        command = [f"resume={parts}"]
    assert run(*command).code == 0
    updates = [row["update"] for row in rows(parts) if row["val/loss"]]
    assert updates == ["5", "10", "15", "20", "27", "30"]
    assert_same_run(whole, parts)


@pytest.mark.slow
def test_scores_are_missing_without_the_note_in_the_checkpoint(
    run, tmp_path, scored, strike, monkeypatch
):
    """This control shows that the test above can fail."""
    strike(Scores, "_score", 4, signal.SIGTERM)
    words = ["model=gan", "trainer.max_epochs=1", "trainer.limit_train_batches=4"]
    stopped = run(*scored(0.0), *RUN, *words, "hydra.run.dir=run")
    assert stopped.code == 1
    load = FitLoop.load_state_dict
    with monkeypatch.context() as patch:
        patch.setattr(
            FitLoop,
            "load_state_dict",
            lambda self, state: load(self, state | {"epoch_end_is_due": False}),
        )
        assert run(*scored(0.0)[:2], "resume=run").code == 0
    assert not Path("run", "scores.json").exists()
    assert run(*scored(0.0)[:2], "resume=run").code == 0
    assert Path("run", "scores.json").exists()


@pytest.mark.slow
def test_full_disk_and_lost_network_stop_nothing(run, tmp_path, scored, monkeypatch):
    """Each is reported once; metrics.csv is complete when there is room again.

    Files that are still missing at the end are reported again, and a resume writes them.
    """
    folder, files = tmp_path / "run", ("metrics.csv", "scores.json", "samples")
    original = SeedPerUpdate.on_train_batch_start

    def meddle(self, trainer, *arguments):
        # Root may write despite file permissions, but cannot replace these folders by files.
        if trainer.global_step == 12:
            for name in files:
                if (folder / name).exists():
                    (folder / name).rename(folder / f"{name}.aside")
            for name in files[:2]:
                (folder / name).mkdir()
            (folder / "samples").touch()
        if trainer.global_step == 40:
            (folder / "metrics.csv").rmdir()
            (folder / "metrics.csv.aside").rename(folder / "metrics.csv")
        return original(self, trainer, *arguments)

    monkeypatch.setattr(SeedPerUpdate, "on_train_batch_start", meddle)
    file = tmp_path / "mine" / "logger" / "broken.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("broken: {_target_: support.fakes.BrokenLogger}\n")
    result = run(*scored(0.0), *RUN, "logger=[csv,broken]", f"hydra.run.dir={folder}")
    assert result.code == 1
    said, file_, advice = result.err.splitlines()
    assert said == "limner: Training is over, but not all of its files could be written:"
    assert file_.startswith("  Writing scores.json failed (IsADirectoryError")
    assert advice.endswith("resume=run")
    assert read_status(folder).state == "failed"
    for what in ("The logger csv", "The logger broken", "Writing pictures", "Writing scores.json"):
        assert result.out.count(f"{what} failed (") == 1, (what, result.out)
    updates = [5, 10, 15, 20, 22, 25, 30, 35, 40, 44]
    assert [int(row["update"]) for row in rows(folder)] == updates
    assert [row["update"] for row in rows(folder) if row["val/fid_pixels"]] == ["22", "44"]
    assert checkpoint(folder)["global_step"] == 44
    assert (folder / "final.png").exists()
    (folder / "scores.json").rmdir()
    assert run(*scored(0.0)[:2], f"resume={folder}").code == 0
    assert json.loads((folder / "scores.json").read_text())["val/fid_pixels"]["value"] > 0
    assert read_status(folder).state == "finished"


SIGNALS = [
    signal.SIGINT,
    pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
    pytest.param(signal.SIGUSR1, marks=pytest.mark.slow),
]
SHORT = ["model=classifier", "network=mlp", "metrics=none", "~callbacks.pictures",
         "~callbacks.codes",
         "trainer.max_steps=6", "callbacks.checkpoints.every_num_updates=4",
         "hydra.run.dir=run"]  # fmt: skip


def test_train_keeps_a_run_that_is_stopped_after_its_last_update(run, monkeypatch):
    def stopped(trainer):
        raise KeyboardInterrupt

    monkeypatch.setattr(train_module, "check_last", stopped)
    result = run(*SHORT)
    assert result.code == 1
    assert result.err.splitlines()[0] == "limner: Stopped after training."
    assert read_status(Path("run")).state == "stopped"
    assert checkpoint(Path("run"))["global_step"] == 6


def test_train_keeps_a_run_that_ends_with_a_bug(run, monkeypatch):
    monkeypatch.setattr(train_module, "check_last", lambda trainer: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(*SHORT)
    GlobalHydra.instance().clear()
    assert read_status(Path("run")).state == "failed"
    assert checkpoint(Path("run"))["global_step"] == 6


def test_train_finishes_when_nobody_reads_its_scores(run, monkeypatch):
    printed = []

    class Console:
        is_jupyter = is_interactive = False

        def print(self, what, **options):
            printed.append(what)
            raise SystemExit(1)  # rich raises SystemExit when `head` has ended.

    monkeypatch.setattr(console, "get_console", Console)
    assert run(*SHORT, "trainer.max_steps=22").code == 0
    assert any(isinstance(what, Table) for what in printed)
    assert read_status(Path("run")).state == "finished"


def test_train_reports_that_a_second_interrupt_stopped_it_immediately(run, monkeypatch):
    original = SeedPerUpdate.on_train_batch_start

    def struck(self, trainer, *arguments):
        if trainer.global_step == 5:
            for _ in "ab":
                signal.raise_signal(signal.SIGINT)
        return original(self, trainer, *arguments)

    monkeypatch.setattr(SeedPerUpdate, "on_train_batch_start", struck)
    monkeypatch.setattr(signals, "SECONDS_TOGETHER", 0.0)
    result = run(*SHORT)
    assert result.code == 1
    said, advice = result.err.splitlines()
    assert said.startswith("limner: Stopped at once, after update 5: the updates since the last")
    assert advice == "To resume: python train.py resume=run"
    assert read_status(Path("run")).state == "stopped"


@pytest.mark.parametrize("number", SIGNALS)
def test_train_stops_at_a_signal_while_it_trains_the_classifier_of_the_scores(
    run, monkeypatch, tmp_path, number
):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(classifier, "accuracy", lambda *_: signal.raise_signal(number))
    words = ["metrics.num_samples=100", "metrics.features.num_updates=2", "hydra.run.dir=run"]
    result = run(*words)
    assert result.code == 1
    assert result.err.startswith("limner: Stopped before update 1")
    assert "Traceback" not in result.err + result.out
    status = read_status(Path("run"))
    assert (status.state, status.update) == ("stopped", 0)
    assert [p.suffix for p in (tmp_path / "cache" / "classifiers").iterdir()] == [".lock"]


@pytest.mark.parametrize("number", SIGNALS)
def test_train_stops_at_a_signal_while_images_are_decoded(run, monkeypatch, tmp_path, number):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "_say_what_was_done", None)
    monkeypatch.setattr(store.np, "save", lambda *_: signal.raise_signal(number))
    before = signal.getsignal(number)
    result = run(*SHORT)
    assert result.code == 1
    assert result.err == "limner: Stopped before training, which has changed nothing.\n"
    assert not Path("run").exists()
    assert [p.suffix for p in (tmp_path / "cache" / "images").iterdir()] == [".lock"]
    assert signal.getsignal(number) is before


def test_train_stops_at_a_signal_after_training(run, monkeypatch):
    monkeypatch.setattr(train_module, "finish", lambda *_: signal.raise_signal(signal.SIGTERM))
    result = run(*SHORT, "trainer.max_steps=2")
    assert result.code == 1
    assert result.err.splitlines()[0] == "limner: Stopped after training."
    assert read_status(Path("run")).state == "stopped"
    assert checkpoint(Path("run"))["global_step"] == 2


@pytest.mark.slow
@pytest.mark.usefixtures("forking")
def test_two_processes_leave_scoring_when_one_of_them_gets_a_signal(tmp_path, scored):
    """They end soon, with one whole checkpoint, and no process remains."""
    tests = Path(__file__).parent
    paths = [str(tests), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    process = subprocess.Popen(
        [sys.executable, str(tests.parent / "train.py"), *scored(0.1), *RUN, "model=gan",
         "accelerator=ddp_cpu", "data.batch_size=32", "metrics.num_samples=10000",
         "hydra.run.dir=run"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    wait_until(lambda: (tmp_path / "scoring").exists(), process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert children
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    num_batches = len((tmp_path / "scoring").read_text().splitlines())
    assert num_batches < 500, "of 1,000 batches of samples"
    assert process.returncode == 1
    assert "Stopped after update 22." in err
    assert "Traceback" not in err
    assert checkpoint(tmp_path / "run")["loops"]["fit_loop"]["epoch_end_is_due"]
    wait_until(lambda: not any(Path("/proc", child).exists() for child in children))


def test_further_processes_end_with_the_first_process(tmp_path):
    """This holds before they have connected, when a killed process cannot notify the others."""
    code = "from limner.launch.watchdog import *; end_with_first_process();"
    code += "print('here', flush=True);"
    first = f"{code} import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {{}},"
    first += " ], env=__import__('os').environ | {{'LOCAL_RANK': '1'}}).wait()"
    second = f"{code} import time; time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", first.format(repr(second))], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == process.stdout.readline() == "here\n"
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    wait_until(lambda: not Path("/proc", child).exists())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_sweep_passes_signals_on_to_its_job(number):
    """The sweep ends with its job."""
    code = f"import signal, sys, time; signal.signal({int(number)}, lambda *_: sys.exit(1))"
    code += "; print('here', flush=True); time.sleep(60)"
    job = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert job.stdout.readline() == "here\n"
    threading.Timer(0.2, os.kill, (os.getpid(), number)).start()
    with pytest.raises(SystemExit) as end:
        wait_for(job)
    assert end.value.code == 1
    assert job.returncode == 1
    assert signal.getsignal(number) is signal.SIG_DFL


def wait_until(condition: Callable[[], bool], process: subprocess.Popen | None = None) -> None:
    deadline = time.monotonic() + 600
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
