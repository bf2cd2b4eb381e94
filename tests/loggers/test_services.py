"""TensorBoard and W&B get the values they can show, and a resumed run continues in them."""

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from limner.loggers import TensorBoardLogger, ToleratedLogger, WandbLogger
from support.disks import full_disk


def test_tensorboard_logs_values_and_pictures(tmp_path):
    logger = TensorBoardLogger(folder=str(tmp_path))
    logger.log_metrics({"train/loss": 1.5}, step=7)
    logger.log_image(key="samples", images=[Image.new("L", (9, 9), 255)], step=7)
    logger.finalize("success")
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (scalar,) = events.Scalars("train/loss")
    assert (scalar.step, scalar.value) == (7, 1.5)
    assert events.Images("samples")[0].width == 9


def test_tensorboard_hides_updates_that_a_resume_repeats(tmp_path):
    first = TensorBoardLogger(folder=str(tmp_path))
    for step in (10, 20, 30):
        first.log_metrics({"train/loss": step}, step=step)
    first.finalize("failed")
    second = TensorBoardLogger(folder=str(tmp_path))
    second.go_on_from(20)
    second.log_metrics({"train/loss": 25}, step=25)
    second.finalize("success")
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [10, 20, 25]


def test_tensorboard_writes_again_when_the_disk_has_room(tmp_path, capfd):
    logger = TensorBoardLogger(folder=str(tmp_path))
    tolerated = ToleratedLogger(logger, "tensorboard")
    tolerated.log_metrics({"a": 1.0}, step=1)
    tolerated.save()
    with full_disk(150):
        tolerated.log_metrics({"a": 2.0}, step=2)
        tolerated.save()
    tolerated.log_metrics({"a": 3.0}, step=3)
    tolerated.finalize("success")
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("a")] == [1, 3]
    assert "Traceback" not in capfd.readouterr().err


def test_wandb_tries_to_reach_the_network_rarely(tmp_path, monkeypatch):
    """Every attempt takes W&B 1.5 minutes, during which training waits."""
    import wandb

    attempts = []

    def fail(**options):
        attempts.append(options)
        raise wandb.errors.CommError("no network")

    monkeypatch.setattr(wandb, "init", fail)
    logger = WandbLogger(folder=str(tmp_path), project="test")
    for _ in range(5):
        with pytest.raises(wandb.errors.CommError):
            logger.log_metrics({"a": 1.0}, step=1)
    assert len(attempts) == 1
    logger._next_attempt = 0.0
    with pytest.raises(wandb.errors.CommError):
        logger.log_metrics({"a": 1.0}, step=1)
    assert len(attempts) == 2


def test_wandb_works_without_an_account(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    logger = WandbLogger(folder=str(tmp_path), project="test")
    again = WandbLogger(folder=str(tmp_path), project="test")
    assert logger._offline
    assert logger._wandb_init["id"] == again._wandb_init["id"], "a folder is one W&B run"
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert not WandbLogger(folder=str(tmp_path), project="test")._offline


def test_several_loggers_work_together(run):
    result = run(
        "logger=[csv,tensorboard,wandb]", "trainer.max_steps=20", "metrics=none",
        "callbacks.pictures.every_num_updates=10",
    )  # fmt: skip
    assert result.code == 0, result.err
    folder = result.only_run()
    assert (folder / "metrics.csv").read_text().count("\n") == 2  # the heading and one row
    assert list((folder / "tensorboard").glob("events*"))
    assert list((folder / "wandb").glob("offline-run-*"))
