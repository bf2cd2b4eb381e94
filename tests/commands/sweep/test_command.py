"""What a sweep does with its job, which are pretended here."""

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
}
SWEEP = Path("outputs/sweeps/a")


class Jobs:
    """In place of processes that train: leaves what they would leave."""

    def __init__(self) -> None:
        self.fate: dict[str, str] = {}
        self.begun: list[str] = []
        self.config = OmegaConf.create()

    def look(self, folder: Path, config: DictConfig) -> Action:
        self.config = config
        return action_in_folder(folder, config)

    def start(self, command: list[str], *, resources: object) -> subprocess.Popen:
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


GRID = ["-m", "model=vae,gan", "seed=1,2,3", "sweep=a"]


def test_only_what_is_missing_or_failed_runs_again(run, fakes):
    fakes.fate = {
        "model=gan seed=2": "failed",
        "model=vae seed=3": "refused",
        "model=vae seed=1": "killed",
    }
    first = run(*GRID)
    assert first.code == 1
    assert len(fakes.begun) == 6
    states = {job.folder.name: (job.state, job.error) for job in jobs_in(SWEEP)}
    assert states["model=gan,seed=2"] == ("failed", "it broke")
    assert states["model=vae,seed=3"] == ("failed", "9 is too much")
    assert states["model=vae,seed=1"] == ("killed", "killed by SIGKILL")
    assert "6 jobs: 1 killed, 3 finished, 2 failed" in first.out
    assert "it broke" in first.err
    assert "sweep=a" in first.out

    failed, fakes.begun, fakes.fate = list(fakes.fate), [], {}
    again = run(*GRID)
    assert again.code == 0
    assert sorted(fakes.begun) == sorted(failed)
    assert "6 jobs: 6 finished." in again.out

    fakes.begun = []
    assert run("-m", "model=vae", "seed=3,4", "sweep=a").code == 0
    assert fakes.begun == ["model=vae seed=4"]


def test_a_longer_sweep_goes_on_with_its_jobs(run, fakes):
    one = ["-m", "seed=1,2", "hydra.sweep.subdir=${seed}", "sweep=a"]
    assert run(*one).code == 0
    assert run(*one, "trainer.max_epochs=200").code == 0
    assert len(fakes.begun) == 4
    fakes.begun = []
    other = run(*one, "trainer.max_epochs=200", "optimizer.lr=0.5")
    assert other.code == 1
    errors = [json.loads(file.read_text())["error"] for file in SWEEP.glob(".jobs/*.json")]
    assert len(errors) == 2
    assert all("this would be another run" in error for error in errors)
    assert not fakes.begun


def test_a_sweep_has_the_folder_of_its_name_or_of_the_time(run, fakes):
    run("-m", "seed=1,2")
    run("-m", "seed=1,2", "hydra.sweep.dir=elsewhere")
    assert len(list(Path("outputs/sweeps").iterdir())) == 1
    assert read_status(Path("elsewhere/seed=1")).state == "finished"
