"""The run that a command line starts, decided without running it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import limner
from limner.errors import UserError
from limner.resume.start import decide_start
from limner.runs.lock import locked
from support.runs import content, pretended

PARENT = Path("outputs/vae_digits")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_command_without_resume_starts_a_new_run():
    start = decide_start(["model=gan", "seed=1"])
    assert start.arguments == start.words == ["model=gan", "seed=1"]
    assert start.folder is None


def test_resume_takes_the_saved_overrides_before_the_new_ones(tmp_path):
    folder = pretended(tmp_path / "a run", "model=gan", "logger.csv.folder=x", "seed=3")
    start = decide_start(["resume='a run'", "logger=none", "trainer.max_epochs=2"])
    assert start.folder == folder
    assert start.arguments == [
        "model=gan", "seed=3", "logger=none", "trainer.max_epochs=2", f"resume='{folder}'",
        f"hydra.run.dir='{folder}'", "hydra.output_subdir=null",
    ]  # fmt: skip
    assert not start.complete


def test_resume_continues_in_the_folder_of_the_run(tmp_path):
    folder = pretended(tmp_path / "run")
    with pytest.raises(UserError, match="in the run's own folder, not in there"):
        decide_start(["resume=run", "hydra.run.dir=there"])
    child = decide_start(["resume=run", f'hydra.run.dir="{folder}"', "hydra.output_subdir=null"])
    assert child.arguments.count(f"hydra.run.dir='{folder}'") == 1


def test_decide_start_refuses_resume_without_a_value(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="resume= has no value: write resume=FOLDER"):
        decide_start(["resume="])


def test_auto_finds_the_unfinished_run_of_the_same_config():
    pretended(PARENT / "finished", state="finished")
    pretended(PARENT / "other", "seed=1", state="stopped")
    pretended(PARENT / "early", state="running", update=0)
    killed = pretended(PARENT / "killed", "trainer.max_epochs=3", state="running", update=40)
    start = decide_start(["resume=auto", "logger=none"])
    assert start.folder == killed.resolve()
    assert start.complete
    assert start.words == ["logger=none", f"resume='{killed.resolve()}'"]
    assert "killed, was killed at update 40" in start.note


@pytest.mark.parametrize("command", [["seed=2"], ["model=gan"], []])
def test_auto_starts_a_new_run_when_there_is_none_to_resume(command):
    pretended(PARENT / "finished", state="finished")
    pretended(PARENT / "other", "seed=1")
    pretended(PARENT / "early", update=0)
    start = decide_start(["resume=auto", *command])
    assert start.folder is None
    assert start.arguments == start.words == command
    assert "a new run starts" in start.note


def test_auto_knows_config_files_of_the_user(tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    file = tmp_path / "mine" / "experiment" / "mine.yaml"
    file.write_text("# @package _global_\ndata: {batch_size: 32}\n")
    folder = pretended(PARENT / "mine", "data.batch_size=32")
    start = decide_start(["resume=auto", "--config-dir", "mine", "experiment=mine"])
    assert start.folder == folder.resolve()
    assert start.arguments[:3] == ["--config-dir", "mine", "experiment=mine"]


def test_auto_lists_two_candidates():
    for number, day in enumerate(("2030-01-02T03:04:05", "2031-01-02T03:04:05")):
        pretended(PARENT / f"run{number}", update=number + 7, state="stopped", changed=day)
    pretended(PARENT / "crashed", state="failed", error="out of memory")
    with pytest.raises(UserError) as error:
        decide_start(["resume=auto"])
    assert str(error.value).splitlines() == [
        "resume=auto: these runs of this config are unfinished:",
        "  outputs/vae_digits/run1: stopped at update 8, 2031-01-02 03:04",
        "  outputs/vae_digits/run0: stopped at update 7, 2030-01-02 03:04",
        "  outputs/vae_digits/crashed: failed at update 5: out of memory",
        "Choose one: resume=DIR",
    ]


def test_run_that_is_being_trained_is_left_alone():
    folder = pretended(PARENT / "busy", state="running", pid=7, host="there")
    with locked(folder):
        start = decide_start(["resume=auto"])
        assert start.folder is None
        assert "busy is being trained now" in start.note
        for words in ([f"resume={folder}"], ["resume=auto", f"hydra.run.dir={folder}"]):
            with pytest.raises(UserError, match=r"being trained right now .process 7 on there"):
                decide_start(words)
    assert decide_start(["resume=auto"]).folder == folder.resolve()


def test_auto_with_a_folder_starts_resumes_and_ends():
    words, folder = ["resume=auto", "hydra.run.dir=run"], Path("run")
    assert decide_start(words).arguments == ["hydra.run.dir=run"]
    folder.mkdir()
    assert decide_start(words).arguments == ["hydra.run.dir=run"]
    folder.rmdir()
    pretended(folder, state="running")
    start = decide_start([*words, "logger=none"])
    assert start.folder == folder.resolve()
    assert start.words == ["logger=none", f"resume='{folder.resolve()}'"]
    (folder / "status.json").write_text('{"state": "finished", "update": 44}')
    before = content(folder)
    ended = decide_start(words)
    assert ended.arguments is None
    assert ended.note == "resume=auto: the run in run has finished, at update 44."
    assert decide_start([*words, "trainer.max_epochs=200"]).folder == folder.resolve()
    assert content(folder) == before


def test_start_that_was_killed_early_is_repeated_in_its_folder():
    folder = pretended(Path("run"), update=0, state="running")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "update_00000005.ckpt.partial").touch()
    (folder / "metrics.csv").write_text("update\n1\n")
    start = decide_start(["resume=auto", "hydra.run.dir=run"])
    assert start.folder is None
    assert start.arguments == ["hydra.run.dir=run"]
    assert "starts again" in start.note
    assert not list(folder.iterdir())


def test_repeated_start_removes_every_kind_of_file_that_training_writes():
    folder = pretended(Path("run"), update=0, state="running")
    for name in ("events.out.tfevents.0.hparams", "events.out.tfevents.1795931868.host.1.0",
                 "final_kl.png"):  # fmt: skip
        (folder / name).touch()
    (folder / "profile").mkdir()
    decide_start(["hydra.run.dir=run", "resume=auto"])
    assert not list(folder.iterdir())


def test_incomplete_start_of_hydra_is_repeated_in_its_folder():
    Path("run/.hydra").mkdir(parents=True)
    Path("run/.hydra/config.yaml").write_text("seed: [")
    assert decide_start(["resume=auto", "hydra.run.dir=run"]).folder is None
    assert not list(Path("run").iterdir())


@pytest.mark.parametrize(
    ("overrides", "update", "extra", "message"),
    [
        (["seed=3"], 5, None, "seed: 3 -> 0"),
        (["seed=3"], 0, None, "seed: 3 -> 0"),
        ([], 0, "thesis.txt", "thesis.txt"),
    ],
)
def test_auto_removes_only_files_of_its_own_run(overrides, update, extra, message):
    folder = pretended(Path("run"), *overrides, update=update, state="stopped")
    if extra:
        (folder / extra).write_text("three years")
    before = content(folder)
    with pytest.raises(UserError, match=message):
        decide_start(["resume=auto", "hydra.run.dir=run"])
    assert content(folder) == before


def test_auto_does_not_touch_a_folder_without_a_run():
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("three years")
    with pytest.raises(UserError, match=r"not empty \(thesis.txt\), and there is no run in it"):
        decide_start(["resume=auto", "hydra.run.dir=mine"])
    assert Path("mine/thesis.txt").read_text() == "three years"


def test_finished_run_without_a_checkpoint_is_not_trained_again():
    folder = pretended(Path("run"), "~callbacks.checkpoints", update=0, state="finished")
    before = content(folder)
    words = ["resume=auto", "hydra.run.dir=run", "~callbacks.checkpoints"]
    assert decide_start(words).arguments is None
    with pytest.raises(UserError, match="not removed because it has finished"):
        decide_start([*words, "trainer.max_epochs=200"])
    assert content(folder) == before


def test_command_that_only_shows_something_changes_nothing():
    folder = pretended(Path("run"), update=0, state="running")
    before = content(folder)
    for flag in ("--help", "--cfg=job"):
        assert decide_start(["resume=auto", "hydra.run.dir=run", flag]).arguments == [
            "hydra.run.dir=run", flag,
        ]  # fmt: skip
    assert content(folder) == before


def test_processes_of_a_launcher_need_a_given_folder(monkeypatch):
    step = {"SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_PROCID": "1"}
    for name, value in step.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"hydra\.run\.dir=DIR"):
        decide_start(["resume=auto"])
    folder = pretended(Path("run"), update=0, state="running")
    start = decide_start(["resume=auto", "hydra.run.dir=run"])
    assert start.arguments == ["hydra.run.dir='run'", "hydra.output_subdir=null"]
    assert (folder / "status.json").exists(), "the first process tidies up"


def test_search_for_a_run_does_not_import_torch():
    pretended(PARENT / "killed", state="running")
    code = (
        "import sys; from limner.config.schema import register; register(); "
        "from limner.resume.start import decide_start; "
        "assert decide_start(['resume=auto']).folder; assert 'torch' not in sys.modules"
    )
    source = str(Path(limner.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
