"""`limner sweep` with fake jobs."""

import json
import subprocess
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from limner.commands.sweep import command
from limner.commands.sweep.records import jobs_in
from limner.resume.find_run import Action, action_in_folder
from limner.runs.status import read_status

HOW = {
    "finished": "exit 0",
    "failed": "echo 'limner: it broke\nTry another.' >&2; exit 1",
    "refused": "echo 'limner: 9 is too much' >&2; exit 1",
    "killed": "kill -9 $$",
    "stopped": "exit 1",
}
SWEEP = Path("outputs/sweeps/a")


class Jobs:
    """Fake jobs that leave the files of processes that train."""

    def __init__(self) -> None:
        self.fate: dict[str, str] = {}
        self.begun: list[str] = []
        self.config = OmegaConf.create()

    def look(self, folder: Path, config: DictConfig) -> Action:
        self.config = config
        return action_in_folder(folder, config)

    def start(self, command: list[str], **options: object) -> subprocess.Popen:
        *overrides, auto, where = (word for word in command if "=" in word)
        assert auto == "resume=auto"
        folder = Path(where.partition("=")[2].strip("'"))
        self.begun.append(" ".join(overrides))
        fate = next((f for part, f in self.fate.items() if part in self.begun[-1]), "finished")
        if fate != "refused":
            (folder / ".hydra").mkdir(exist_ok=True)
            OmegaConf.save(self.config, folder / ".hydra" / "config.yaml")
            (folder / "checkpoints").mkdir(exist_ok=True)
            (folder / "checkpoints" / "update_00000005.ckpt").touch()
            state = {"killed": "running"}.get(fate, fate)
            (folder / "status.json").write_text(json.dumps({"state": state, "update": 5}))
        if fate == "finished":
            (folder / "config.yaml").write_text("metrics: {objective: {name: val/fid}}")
            score = 10 + len(self.begun)
            (folder / "scores.json").write_text(json.dumps({"val/fid": {"value": score}}))
        return subprocess.Popen(["sh", "-c", HOW[fate]], stderr=subprocess.PIPE, text=True)


@pytest.fixture
def fakes(monkeypatch):
    made = Jobs()
    monkeypatch.setattr(command, "start", made.start)
    monkeypatch.setattr(command, "action_in_folder", made.look)
    monkeypatch.setenv("COLUMNS", "150")
    return made


GRID = ["-m", "model=vae,gan", "seed=1,2", "sweep=a"]


def test_sweep_repeats_only_jobs_that_are_missing_or_failed(run, fakes):
    fakes.fate = {
        "model=gan seed=2": "failed",
        "model=vae seed=2": "refused",
        "model=vae seed=1": "killed",
    }
    first = run(*GRID)
    assert first.code == 1
    assert len(fakes.begun) == 4
    states = {job.folder.name: (job.state, job.error) for job in jobs_in(SWEEP)}
    assert states["model=gan,seed=2"] == ("failed", "it broke")
    assert states["model=vae,seed=2"] == ("failed", "9 is too much")
    assert states["model=vae,seed=1"] == ("killed", "killed by SIGKILL")
    assert "4 jobs: 1 killed, 2 failed, 1 finished" in first.out
    assert "it broke" in first.err
    assert "sweep=a" in first.out
    assert "Job 2 of 4: model=vae seed=2 -> outputs/sweeps/a/model=vae,seed=2\n" in first.out
    assert "HYDRA" not in first.out + first.err

    failed, fakes.begun, fakes.fate = list(fakes.fate), [], {}
    again = run(*GRID)
    assert again.code == 0
    assert sorted(fakes.begun) == sorted(failed)
    assert "4 jobs: 4 finished, in outputs/sweeps/a" in again.out

    fakes.begun = []
    assert run("-m", "model=vae", "seed=2,3", "sweep=a").code == 0
    assert fakes.begun == ["model=vae seed=3"]


@pytest.mark.slow
def test_longer_sweep_resumes_its_jobs(run, fakes):
    one = ["-m", "seed=1,2", "hydra.sweep.subdir=${seed}", "sweep=a"]
    assert run(*one).code == 0
    assert run(*one, "trainer.max_epochs=200").code == 0
    assert len(fakes.begun) == 4
    fakes.begun = []
    other = run(*one, "trainer.max_epochs=200", "optimizer.lr=0.5")
    assert other.code == 1
    errors = [json.loads(file.read_text())["error"] for file in SWEEP.glob(".jobs/*.json")]
    assert len(errors) == 2
    assert all("changes would make another run" in error for error in errors)
    assert not fakes.begun


def test_sweep_uses_a_new_folder_or_the_given_folder(run, fakes):
    run("-m", "seed=1,2")
    run("-m", "seed=1,2", "hydra.sweep.dir=elsewhere")
    assert len(list(Path("outputs/sweeps").iterdir())) == 1
    assert read_status(Path("elsewhere/seed=1")).state == "finished"


def test_stopped_sweep_states_how_many_jobs_it_started(run, fakes, monkeypatch):
    def stopped(process):
        process.wait()
        if len(fakes.begun) == 2:
            raise SystemExit(1)  # This is the status after a signal.
        return ended(process)

    ended = command.wait_for
    monkeypatch.setattr(command, "wait_for", stopped)
    fakes.fate = {"seed=2": "stopped"}
    result = run("-m", "seed=1,2,3", "sweep=a", "logger=none")
    assert result.code == 1
    assert "The sweep began 2 of 3 jobs.\n" in result.out
    assert "3 jobs: 1 finished, 1 stopped, 1 not begun, in outputs/sweeps/a" in result.out

    monkeypatch.setattr(command, "wait_for", ended)
    fakes.begun, fakes.fate = [], {}
    assert run("-m", "seed=1,2,3", "sweep=a", "logger=none").code == 0
    assert fakes.begun == [f"seed={seed} logger=none" for seed in (2, 3)]


def test_sweep_names_job_folders_by_the_values_that_differ(run, fakes):
    common = ["metrics=none", "trainer.max_epochs=3", "+model.part='a b'"]
    fakes.fate = {"model": "refused"}
    run("-m", "seed=1,2", "model/objective=elbo,iwae", *common, "sweep=a")
    assert {job.folder.name for job in jobs_in(SWEEP)} == {
        f"model-objective={name},seed={seed}" for name in ("elbo", "iwae") for seed in (1, 2)
    }


@pytest.mark.slow
def test_sweep_resumes_jobs_whose_folders_name_all_overrides(run, fakes):
    """Earlier versions gave job folders such names."""
    grid = ["-m", "seed=1,2", "logger=none", "sweep=a"]
    whole = "hydra.job.config.override_dirname.exclude_keys=[]"
    assert run(*grid, whole).code == 0
    assert (SWEEP / "logger=none,seed=1").is_dir()
    fakes.begun = []
    again = run(*grid)
    assert again.code == 0
    assert not fakes.begun
    assert "-> outputs/sweeps/a/logger=none,seed=1, finished before" in again.out


@pytest.mark.slow
def test_commands_with_other_common_overrides_may_share_a_sweep(run, fakes):
    for rate in ("0.1", "0.2"):
        assert run("-m", "seed=1,2", f"optimizer.lr={rate}", "sweep=a").code == 0
    names = {job.folder.name for job in jobs_in(SWEEP)}
    assert names == {"seed=1", "seed=2", "optimizer.lr=0.2,seed=1", "optimizer.lr=0.2,seed=2"}
    assert len(fakes.begun) == 4
