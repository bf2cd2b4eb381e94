"""A run folder that is deleted, moved or replaced while the run is trained."""

import json
import os
import shutil
from pathlib import Path

import pytest

from limner import load
from limner.callbacks.signals import SeedPerUpdate
from limner.errors import UserError
from limner.loggers import TensorBoardLogger
from limner.runs.folder import RunFolder
from limner.runs.lock import is_locked, locked
from support.runs import content, pretended

SMALL = [
    "model=vae", "network=mlp", "metrics=none", "logger=csv", "accelerator=cpu",
    "callbacks.checkpoints.every_num_updates=4", "callbacks.log.every_num_updates=2",
    "trainer.max_steps=10", "~callbacks.codes",
]  # fmt: skip


@pytest.fixture
def meddle(monkeypatch):
    """Return a function that changes the folder `run` before the update after a given one."""

    def at(update, do):
        original = SeedPerUpdate.on_train_batch_start

        def meddling(self, trainer, *arguments):
            if trainer.global_step == update:
                do(Path(trainer.default_root_dir))
            return original(self, trainer, *arguments)

        monkeypatch.setattr(SeedPerUpdate, "on_train_batch_start", meddling)

    return at


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        "deleted",
        "moved",
        "emptied",
    ],
)
def test_train_makes_a_lost_run_folder_again_with_the_next_checkpoint(run, meddle, how):
    """The folder then holds a run that can be loaded and resumed."""

    def lose(folder):
        if how == "moved":
            folder.rename("elsewhere")
        else:
            shutil.rmtree(folder)
        if how == "emptied":
            folder.mkdir()

    meddle(5, lose)
    result = run(*SMALL, "hydra.run.dir=run")
    assert result.code == 0, result.err
    assert result.out.count("run was deleted or moved during training") == 1
    assert "config.yaml" in result.out.split("were missing in")[0].splitlines()[-1]
    for name in ("config.yaml", "environment.txt", ".hydra/overrides.yaml", "train.log"):
        assert Path("run", name).is_file(), name
    status = json.loads(Path("run", "status.json").read_text())
    assert (status["state"], status["update"]) == ("finished", 10)
    assert load("run", device="cpu").sample(1, seed=0).shape == (1, 8, 8, 1)
    resumed = run("resume=run", "trainer.max_steps=12")
    assert resumed.code == 0, resumed.err


def test_train_continues_in_a_lost_run_folder_that_only_a_logger_has_made_again(run, meddle):
    def lose(folder):
        shutil.rmtree(folder)
        TensorBoardLogger(folder=str(folder)).log_metrics({"a": 1.0}, step=1)

    meddle(5, lose)
    result = run(*SMALL, "logger=[csv,tensorboard]", "hydra.run.dir=run")
    assert result.code == 0, result.err
    assert json.loads(Path("run", "status.json").read_text())["state"] == "finished"
    assert Path("run", "config.yaml").is_file()


def test_train_fails_when_a_lost_run_folder_cannot_be_made_again(run, meddle):
    def lose(folder):
        shutil.rmtree(folder.parent)
        folder.parent.write_text("in the way")

    meddle(5, lose)
    result = run(*SMALL, "hydra.run.dir=deep/run")
    assert result.code == 1
    assert "Training is over, but" in result.err
    assert "Traceback" not in result.err


def test_train_fails_when_its_last_checkpoint_is_deleted_before_the_end(run, monkeypatch):
    from limner.callbacks.pictures import Pictures

    monkeypatch.setattr(
        Pictures, "on_train_end", lambda self, trainer, model: shutil.rmtree("run")
    )
    result = run(*SMALL, "hydra.run.dir=run")
    assert result.code == 1
    assert "its last checkpoint, of update 10, was deleted meanwhile" in result.err
    assert json.loads(Path("run", "status.json").read_text())["state"] == "failed"


@pytest.mark.slow
def test_train_writes_nothing_into_another_run_that_took_the_place_of_its_own(run, meddle):
    before = content(pretended(Path("other"), state="finished"))

    def replace(folder):
        folder.rename("elsewhere")
        Path("other").rename(folder)

    meddle(5, replace)
    result = run(*SMALL, "hydra.run.dir=run")
    assert result.code == 1
    assert "is no longer this run's: another folder took its place" in result.err
    assert content(Path("run")) == before


def test_train_writes_deleted_records_again(run, meddle):
    meddle(5, lambda folder: (folder / "config.yaml").unlink())
    result = run(*SMALL, "hydra.run.dir=run")
    assert result.code == 0, result.err
    assert "config.yaml were missing" in result.out
    assert Path("run", "config.yaml").is_file()
    assert Path("run", "scores.json").exists() or Path("run", "final.png").exists()


def test_run_folder_restore_takes_the_lock_of_the_new_folder(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    (path / "config.yaml").write_text("seed: 0\n")
    with locked(path), RunFolder(path) as folder:
        folder.begin()
        shutil.rmtree(path)
        assert not folder.is_ours()
        folder.restore()
        assert folder.is_ours()
        assert (path / "config.yaml").read_text() == "seed: 0\n"
        assert is_locked(path)
    assert not is_locked(path)


def test_run_folder_is_left_to_a_process_that_locks_it_first(tmp_path, monkeypatch):
    path = tmp_path / "run"
    path.mkdir()
    (path / "config.yaml").write_text("seed: 0\n")
    folder = RunFolder(path)
    folder.begin()
    shutil.rmtree(path)
    path.mkdir()
    (path / ".hydra").mkdir()
    with pytest.raises(UserError, match="no longer this run's"):
        folder.restore()
    assert [found.name for found in path.iterdir()] == [".hydra"]


def test_run_folder_is_recognised_when_it_was_copied_and_put_back(tmp_path):
    path = tmp_path / "run"
    pretended(path, state="running", pid=os.getpid(), host=os.uname().nodename)
    with RunFolder(path) as folder:
        folder.begin()
        shutil.copytree(path, tmp_path / "copy")
        shutil.rmtree(path)
        (tmp_path / "copy").rename(path)
        folder.check()
        assert folder.is_ours()
        assert is_locked(path)
