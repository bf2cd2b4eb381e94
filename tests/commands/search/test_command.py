"""`limner search` with fake trials; one test trains."""

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
import yaml
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf
from optuna.trial import TrialState

from limner.commands.search import command, results, studies, workers
from limner.commands.search.space import read
from limner.commands.search.studies import Study
from limner.config.error_messages import explain
from limner.config.schema import CONFIG_DIR, register
from limner.errors import UserError
from limner.resume.start import composed_for
from support import fake_trials

SPACE = """
train: [model=vae, metrics=none, "metrics.objective={name: val/loss, mode: min}"]
space:
  optimizer.lr: {low: 0.01, high: 0.6}
  model.latent_dim: [4, 8]
"""
WORDS = ("study=a", "space=space.yaml", "num_workers=2")
ROOT = Path("outputs/searches/a")
composed_once = functools.cache(command._composed)


@pytest.fixture
def search(tmp_path, monkeypatch, capsys):
    """Run `limner search WORDS` with fake trials in an empty folder and return its output.

    Each config is composed and checked once in this module. Samplers have a seed.
    """
    monkeypatch.chdir(tmp_path)
    Path("space.yaml").write_text(SPACE)
    for module, name, value in (
        (fake_trials.workers, "start", fake_trials.start),
        (fake_trials.workers, "SECONDS", 0.02),
        (command, "_composed", lambda *words: composed_once(*map(tuple, words))),
        (command, "_rehearsed", lambda *args: {"val/loss", "val/kl"}),
        (command, "SECONDS", 0.1),
        (fake_trials, "begun", []),
        (fake_trials, "SECONDS", 0.0),
    ):
        monkeypatch.setattr(module, name, value)
    sampler = functools.partial(optuna.samplers.TPESampler, constant_liar=True, seed=11)
    monkeypatch.setitem(studies.SAMPLERS, "tpe", sampler)

    def run(*words: str) -> str:
        assert command.run(list(words)) == 0
        return capsys.readouterr().out

    return run


def opened(**changes) -> Study:
    known = {"storage": None, "sampler": "tpe", "pruner": "median"}
    objective = {"name": "val/loss", "mode": "min"}
    return Study(ROOT.absolute(), read("space.yaml", []), objective=objective, **known | changes)


def test_search_reports_the_best_trial_and_continues_when_called_again(search, monkeypatch):
    out = search(*WORDS, "num_trials=6")
    assert "6 trials:" in out
    trials = opened().trials()
    values = {t.number: t.params["optimizer.lr"] for t in trials if t.state == TrialState.COMPLETE}
    best = min(values, key=values.get)
    assert f"trial {best} in {ROOT}/trial_{best:04d}" in out
    assert len(values) < 6  # some trials diverge
    for trial in trials:
        diverges = trial.params["optimizer.lr"] > 0.5
        assert (Study.error(trial) is not None) == diverges
        assert (ROOT / trial.user_attrs["folder"]).is_dir()
        if diverges:
            assert "is nan at update 20" in trial.user_attrs["error"]
    assert {path.name for path in ROOT.glob("*.png")} == {
        "history.png", "importance.png", "parallel_coordinates.png"
    }  # fmt: skip
    written = yaml.safe_load((ROOT / "experiment" / "best.yaml").read_text())
    assert written["optimizer"]["lr"] == pytest.approx(values[best])
    assert written["model"]["latent_dim"] == trials[best].params["model.latent_dim"]

    fake_trials.begun.clear()
    monkeypatch.setattr(results, "PICTURES", {})
    assert "7 trials:" in search(*WORDS, "num_trials=7")
    assert len(fake_trials.begun) == 1


@pytest.fixture
def _only_trials(monkeypatch):
    """Compose no config for the values of the space, and draw no pictures."""
    words = read("space.yaml", []).train
    monkeypatch.setattr(command, "_composed", lambda *_: composed_once(tuple(words), ()))
    monkeypatch.setattr(results, "PICTURES", {})


@pytest.mark.usefixtures("search", "_only_trials")
def test_search_prunes_bad_trials_and_keeps_their_folders(search, monkeypatch):
    rates = "[0.1, 0.2, 0.25, 0.3, 0.35, 0.4]"  # Optuna prunes no trial before the sixth
    Path("space.yaml").write_text(
        SPACE.replace("{low: 0.01, high: 0.6}", rates).replace("[4, 8]", "[4]")
    )

    def start(words, **options):
        fake_trials.SECONDS = 0.0 if len(fake_trials.begun) < 5 else 5.0
        return fake_trials.start(words, **options)

    monkeypatch.setattr(workers, "start", start)
    search("study=a", "space=space.yaml", "sampler=grid")
    *finished, bad = opened(sampler="grid").trials()
    assert [trial.state for trial in finished] == [TrialState.COMPLETE] * 5
    assert bad.state == TrialState.PRUNED
    assert Study.error(bad) is None
    assert bad.intermediate_values
    assert len((ROOT / "trial_0005" / "reports.csv").read_text().splitlines()) < 5


@pytest.mark.usefixtures("search", "_only_trials")
def test_search_tries_each_point_of_a_grid_once(search):
    Path("space.yaml").write_text(
        SPACE.replace("{low: 0.01, high: 0.6}", "{low: 0.1, high: 0.3, step: 0.1}")
    )
    assert "6 trials: 6 complete" in search(*WORDS, "sampler=grid", "pruner=none")
    found = {tuple(trial.params.values()) for trial in opened(sampler="grid").trials()}
    assert {(round(rate, 3), dim) for rate, dim in found} == {
        (rate, dim) for rate in (0.1, 0.2, 0.3) for dim in (4, 8)
    }
    fake_trials.begun.clear()
    assert "6 trials: 6 complete" in search(*WORDS, "sampler=grid", "pruner=none")
    assert not fake_trials.begun


@pytest.mark.usefixtures("search", "_only_trials")
def test_search_works_with_cma_es(search):
    Path("space.yaml").write_text(SPACE.replace("[4, 8]", "{low: 4, high: 8}"))
    assert "4 trials:" in search(*WORDS, "sampler=cmaes", "num_trials=4", "pruner=none")


def test_search_requeues_a_trial_whose_worker_has_died(search):
    study = opened()
    lost, _ = study.next(3)
    held, _ = study.next(3)
    lost.lock.release()  # The system does this for a process that was killed.
    again, _ = opened().next(3)
    assert again.asked.params == lost.asked.params
    assert again.folder == lost.folder
    states = [trial.state for trial in opened().trials()]
    assert states == [TrialState.RUNNING] * 2
    held.lock.release()
    again.lock.release()


def test_search_does_not_requeue_a_trial_that_ends_during_the_check_for_dead_workers(
    search, monkeypatch
):
    study, lock_of = opened(), Study._lock_of
    held, _ = study.next(2)

    def lock_of_ended(self, number):
        if held.lock.is_locked:
            study.finished(held, 1.0)
            held.lock.release()
        return lock_of(self, number)

    monkeypatch.setattr(Study, "_lock_of", lock_of_ended)
    other, _ = opened().next(2)
    other.lock.release()
    states = [trial.state for trial in opened().trials()]
    assert states == [TrialState.COMPLETE, TrialState.RUNNING]


def test_search_gives_up_a_trial_that_kills_its_workers(search):
    for _ in range(4):
        trial, _ = opened().next(1)
        trial.lock.release()
    assert opened().next(1) == (None, False)
    assert [trial.state for trial in opened().trials()] == [TrialState.FAIL]


def has_a_trial(worker: subprocess.Popen) -> bool:
    """Stop the worker if it has a trial that is not done, and return whether it has."""
    worker.send_signal(signal.SIGSTOP)
    files = [file for file in ROOT.glob("trial_*/worker") if file.read_text() == str(worker.pid)]
    if any(not file.with_name("scores.json").exists() for file in files):
        return True
    worker.send_signal(signal.SIGCONT)
    return False


@pytest.mark.slow  # three processes, which compose and wait for each other
@pytest.mark.usefixtures("forking")
@pytest.mark.parametrize("storage", [None, "sqlite:///study.db"])
def test_search_completes_when_one_of_three_workers_is_killed(search, storage, monkeypatch):
    if storage is not None:
        pytest.importorskip("sqlalchemy")
    words = ["study=a", "space=space.yaml", "num_trials=6"]
    words += [] if storage is None else [f"storage={storage}"]
    call = [sys.executable, str(Path(fake_trials.__file__)), *words]
    paths = os.pathsep.join(sys.path)
    workers = [subprocess.Popen(call, env=os.environ | {"PYTHONPATH": paths}) for _ in range(3)]
    try:
        while not (busy := next(filter(has_a_trial, workers), None)):
            time.sleep(0.02)
        busy.send_signal(signal.SIGKILL)
        codes = sorted(worker.wait(timeout=600) for worker in workers)
        assert codes == [-signal.SIGKILL, 0, 0]
    finally:
        for worker in workers:
            worker.kill()
    study = opened(storage=storage)
    assert len(study.trials()) == 6
    assert len(study.optuna.trials) == 7  # One trial was requeued.
    assert all(trial.state.is_finished() for trial in study.optuna.trials)


@pytest.mark.parametrize(
    ("before", "after", "words", "message"),
    [
        ("optimizer.lr", "optimizer.lrr", [], "optimizer.lrr: there is no such key; did you mean"),
        ("optimizer.lr", "sedd", [], "sedd: there is no such key; did you mean seed?"),
        (
            "[4, 8]",
            "[4, big]",
            [],
            "model.latent_dim=big: must be a whole number or null, not text.",
        ),
        ("[4, 8]", "{low: 4, hihg: 8}", [], "a range is {low: 1, high: 9}"),
        ("[4, 8]", "{low: 8, high: 4}", [], "space.yaml: model.latent_dim"),
        ("[4, 8]", "{low: 0, high: 4, log: true}", [], "space.yaml: model.latent_dim"),
        ("space:", "spaces:", [], "space=space.yaml: must have `space:`"),
        ("val/loss", "val/lost", [], "name=val/lost: the trials report val/kl, val/loss."),
        ("mode: min", "mode: least", [], "mode: min or max"),
        ("", "", ["metrics=auto"], "A search needs an objective"),
        ("", "", ["sampler=best"], "sampler=best: there are: tpe, random, cmaes, grid"),
        ("", "", ["pruner=garden"], "pruner=garden: there are: median, none"),
        (
            "",
            "",
            ["sampler=grid"],
            "sampler=grid: optimizer.lr needs choices, or a range with a step",
        ),
        ("", "", ["num_workers=0"], "num_workers=0: must be 1 or more"),
        ("", "", ["num_trials=0"], "num_trials=0: must be 1 or more"),
        ("", "", ["num_trial=3"], "num_trial: there is no such key"),
        ("", "", ["study=a/b"], "study=a/b: a name may have letters"),
        ("", "", ["space=nowhere"], "space=nowhere: there is no such file. limner has: gan, vae"),
        ("", "", ["storage=nothing://here"], "storage=nothing://here: the database cannot be"),
    ],
)
def test_search_queues_nothing_when_there_is_a_mistake(search, before, after, words, message):
    Path("space.yaml").write_text(SPACE.replace(before, after, 1) if before else SPACE)
    if before in ("val/loss", "mode: min"):  # one config suffices
        one = SPACE.replace("{low: 0.01, high: 0.6}", "[0.1]").replace("[4, 8]", "[4]")
        Path("space.yaml").write_text(one.replace(before, after, 1))
    if words == ["metrics=auto"]:
        Path("space.yaml").write_text("space: {optimizer.lr: [0.1]}")
    with pytest.raises((UserError, ConfigCompositionException)) as raised:
        search(*WORDS, "num_trials=2", *words)
    told, _ = explain(raised.value)
    assert message in told
    assert len(told.splitlines()) <= 4
    assert not fake_trials.begun
    assert not list(Path().glob("outputs/searches/*/journal.log"))


@pytest.mark.usefixtures("search", "_only_trials")
def test_search_refuses_another_space_or_seed_for_an_existing_study(search):
    # a space in which no trial diverges
    Path("space.yaml").write_text(SPACE.replace("0.6", "0.5"))
    search(*WORDS, "num_trials=1")
    fake_trials.begun.clear()
    Path("space.yaml").write_text(SPACE.replace("0.6", "0.4"))
    with pytest.raises(
        UserError, match=r"started with another space:\n  optimizer.lr: .*0.5.*0.4"
    ):
        search(*WORDS, "num_trials=2")
    Path("space.yaml").write_text(SPACE.replace("0.6", "0.5"))
    with pytest.raises(UserError, match="seed=3"):
        search(*WORDS, "num_trials=2", "seed=3")
    assert not fake_trials.begun


@pytest.mark.parametrize("path", sorted((CONFIG_DIR / "search").glob("*.yaml")))
def test_spaces_of_limner_compose(path):
    register()
    space = read(path.stem, [])
    config = composed_once(tuple(space.overrides(next(space.corners()))), ())
    assert config.metrics.objective is not None


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((CONFIG_DIR / "search").glob("*.yaml")))
def test_spaces_of_limner_compose_for_every_choice_and_end_of_a_range(path):
    register()
    space = read(path.stem, [])
    for values in space.corners():
        composed_once(tuple(space.overrides(values)), ())


def test_search_writes_an_experiment_equal_to_the_best_overrides(tmp_path):
    register()
    words = [
        "model=gan", "model/penalty=[r1,lecam]", "optimizer.lr=1e-4", "+trainer.benchmark=true",
        "seed=3", "model.penalty.r1.weight=0.5", "~callbacks.progress",
    ]  # fmt: skip
    path = tmp_path / "experiment" / "best.yaml"
    results.write_experiment(path, words, title="a test")
    assert "~callbacks.progress" in path.read_text()
    by_file, _ = composed_for(["--config-dir", str(tmp_path), "experiment=best", words[-1]])
    by_words, _ = composed_for(words)
    assert OmegaConf.to_container(by_file) == OmegaConf.to_container(by_words)


class Stubborn:
    """A fake process of a trial that ends at the named signals, or when it is killed."""

    def __init__(self, *ends_at: int) -> None:
        self.ends_at, self.received, self.returncode = ends_at, [], None

    def poll(self):
        return self.returncode

    def wait(self, timeout):
        if self.returncode is None:
            raise subprocess.TimeoutExpired("trial", timeout)

    def send_signal(self, number):
        self.received.append(number)
        if number in self.ends_at:
            self.returncode = 1

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.received.append(signal.SIGKILL)
        self.returncode = -signal.SIGKILL


@pytest.mark.parametrize(
    ("ends_at", "asked", "received"),
    [
        ([signal.SIGTERM], 1, [signal.SIGTERM]),
        ([signal.SIGINT], 2, [signal.SIGTERM, signal.SIGINT]),
        ([], 2, [signal.SIGTERM, signal.SIGINT, signal.SIGKILL]),
    ],
)
def test_stop_asks_a_trial_to_save_and_then_to_end_at_once(
    search, monkeypatch, ends_at, asked, received
):
    monkeypatch.setattr(workers, "GRACE", -1.0 if not ends_at else 60.0)
    stop, process = workers.Stop(), Stubborn(*ends_at)
    for _ in range(asked):
        stop.ask()
    study = opened()
    trial, _ = study.next(1)
    workers._watched(process, trial, stop)
    trial.lock.release()
    assert process.received == received


@pytest.mark.usefixtures("search", "_only_trials")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_a_search_whose_trial_another_worker_resumes(search, capsys, number):
    def stopping(words, **options):
        process = fake_trials.start(words, **options)
        os.kill(os.getpid(), number)  # Python handles the signal in the main thread.
        return process

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_trials, "SECONDS", 60.0)
        patch.setattr(workers, "start", stopping)
        with pytest.raises(UserError, match="The same command resumes the study"):
            search("study=a", "space=space.yaml", "num_trials=2")
    said = capsys.readouterr().out
    assert "Trial 0 started: optimizer.lr=" in said
    assert "1 trial: 1 waiting." in said
    assert not list(ROOT.glob("*.png"))
    out = search("study=a", "space=space.yaml", "num_trials=2", "pruner=none")
    assert "2 trials:" in out
    assert " resumes trial 0: optimizer.lr=" in out


@pytest.mark.slow
@pytest.mark.usefixtures("forking")
def test_search_works_with_trials_that_train(tmp_path, monkeypatch, capsys):
    """This covers the rehearsal, the reports and the objective of real runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(CONFIG_DIR.parent / "train.py")])
    monkeypatch.setattr(results, "PICTURES", {})
    Path("space.yaml").write_text("space: {optimizer.lr: [0.01]}")
    words = [
        "study=a", "space=space.yaml", "sampler=grid", "metrics=none", "trainer.max_epochs=2",
        "metrics.objective={name: val/loss, mode: min}", "trainer.limit_train_batches=2",
        "trainer.limit_val_batches=1", "accelerator=cpu", "network=mlp", "logger=none",
        "~callbacks.codes", "~callbacks.pictures",
    ]  # fmt: skip
    assert command.run(words) == 0
    assert "1 trial: 1 complete." in capsys.readouterr().out
    lines = (ROOT / "trial_0000" / "reports.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["1", "2"]
