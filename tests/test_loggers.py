import csv

from PIL import Image

from limner.loggers import CSVLogger, TensorBoardLogger, WandbLogger


def rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_update_with_whatever_was_logged(tmp_path):
    logger = CSVLogger(folder=str(tmp_path))
    logger.log_metrics({"a": 1.0}, step=10)
    logger.log_metrics({"b": 2.0}, step=10)
    logger.log_metrics({"a": 3.0}, step=20)
    logger.finalize("success")
    assert rows(tmp_path) == [
        {"update": "10", "a": "1.0", "b": "2.0"},
        {"update": "20", "a": "3.0", "b": ""},
    ]


def test_a_row_that_was_written_is_completed(tmp_path):
    """As at the end of an epoch: losses, a checkpoint, then scores of the same update."""
    logger = CSVLogger(folder=str(tmp_path))
    logger.log_metrics({"a": 1.0}, step=1)
    for value in (2.0, 3.0):
        logger.log_metrics({"a": value}, step=2)
        logger.save()
    logger.log_metrics({"score": 5.0}, step=2)
    logger.save()
    logger.log_metrics({"a": 4.0}, step=3)
    logger.finalize("success")
    assert [tuple(row.values()) for row in rows(tmp_path)] == [
        ("1", "1.0", ""),
        ("2", "3.0", "5.0"),
        ("3", "4.0", ""),
    ]


def test_new_columns_come_later(tmp_path):
    logger = CSVLogger(folder=str(tmp_path))
    logger.log_metrics({"a": 1.0}, step=1)
    logger.log_metrics({"c": 5.0}, step=2)
    logger.save()
    assert rows(tmp_path)[1] == {"update": "2", "a": "", "c": "5.0"}


def test_after_a_resume_rows_stay_or_are_replaced(tmp_path):
    first = CSVLogger(folder=str(tmp_path))
    for step in (10, 20, 30):
        first.log_metrics({"a": step}, step=step)
    first.save()
    second = CSVLogger(folder=str(tmp_path))
    second.log_metrics({"a": -20, "new": 1}, step=20)
    second.log_metrics({"a": -30}, step=30)
    second.save()
    assert [(r["update"], r["a"], r["new"]) for r in rows(tmp_path)] == [
        ("10", "10", ""),
        ("20", "-20", "1"),
        ("30", "-30", ""),
    ]


def test_tensorboard_takes_values_and_pictures(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(folder=str(tmp_path))
    logger.log_metrics({"train/loss": 1.5}, step=7)
    logger.log_image(key="samples", images=[Image.new("L", (9, 9), 255)], step=7)
    logger.finalize("success")
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (scalar,) = events.Scalars("train/loss")
    assert (scalar.step, scalar.value) == (7, 1.5)
    assert events.Images("samples")[0].width == 9


def test_wandb_works_without_an_account(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    logger = WandbLogger(folder=str(tmp_path), project="test")
    again = WandbLogger(folder=str(tmp_path), project="test")
    assert logger._offline
    assert logger._wandb_init["id"] == again._wandb_init["id"], "a folder is one W&B run"
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert not WandbLogger(folder=str(tmp_path), project="test")._offline


def test_several_loggers_at_once(run):
    result = run(
        "logger=[csv,tensorboard,wandb]", "trainer.max_steps=20", "metrics=none",
        "callbacks.pictures.every_num_updates=10",
    )  # fmt: skip
    assert result.code == 0, result.err
    folder = result.only_run()
    assert len(rows(folder)) == 1
    assert list((folder / "tensorboard").glob("events*"))
    assert list((folder / "wandb").glob("offline-run-*"))
