"""Loggers lose nothing that they can keep, and stop nothing."""

import csv
import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import lightning.pytorch.loggers as lightning_loggers
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from limner.loggers import CSVLogger, TensorBoardLogger, ToleratedLogger, WandbLogger
from support import fakes


def rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


@contextmanager
def full_disk(num_bytes: int) -> Iterator[None]:
    """Lets no file grow beyond so many bytes; what exceeds them is cut off."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


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


def test_a_row_that_a_resume_completes_is_one_row(tmp_path):
    """As when a run was stopped between an epoch's last update and its scores."""
    first = CSVLogger(folder=str(tmp_path))
    for step in (10, 20, 30):
        first.log_metrics({"a": step}, step=step)
    first.save()
    second = CSVLogger(folder=str(tmp_path))
    second.go_on_from(20)
    second.log_metrics({"score": 5.0}, step=20)
    second.log_metrics({"a": 25}, step=25)
    second.save()
    assert [tuple(row.values()) for row in rows(tmp_path)] == [
        ("10", "10", ""),
        ("20", "20", "5.0"),
        ("25", "25", ""),
    ]


def test_rows_of_a_future_that_is_given_up_go_also_if_nothing_is_logged(tmp_path):
    first = CSVLogger(folder=str(tmp_path))
    for step in (10, 20, 30):
        first.log_metrics({"a": step}, step=step)
    first.save()
    second = CSVLogger(folder=str(tmp_path))
    second.go_on_from(20)
    second.finalize("failed")
    assert [row["update"] for row in rows(tmp_path)] == ["10", "20"]


def test_a_file_cut_off_anywhere_keeps_its_whole_rows(tmp_path):
    logger = CSVLogger(folder=str(tmp_path))
    for step in (9, 10, 1100):
        logger.log_metrics({"a": step / 7, "b": step}, step=step)
    logger.save()
    whole = logger.path.read_bytes()
    expected = rows(tmp_path)
    for length in range(len(whole)):
        logger.path.write_bytes(whole[:length])
        again = CSVLogger(folder=str(tmp_path))
        again.go_on_from(1100)
        again.log_metrics({"a": 1.0}, step=1200)
        again.save()
        num_whole = max(0, whole[:length].count(b"\r\n") - 1)
        assert [r["a"] for r in rows(tmp_path)] == [
            *(row["a"] for row in expected[:num_whole]), "1.0"
        ], length  # fmt: skip


def test_garbage_after_a_power_cut_is_dropped(tmp_path):
    logger = CSVLogger(folder=str(tmp_path))
    logger.log_metrics({"a": 1.0}, step=10)
    logger.save()
    logger.path.write_bytes(logger.path.read_bytes() + bytes(30) + b"\r\n\xff\xfe,,\r\n")
    again = CSVLogger(folder=str(tmp_path))
    again.go_on_from(10)
    again.log_metrics({"a": 2.0}, step=20)
    again.sync()
    assert [tuple(row.values()) for row in rows(tmp_path)] == [("10", "1.0"), ("20", "2.0")]


@pytest.mark.parametrize("room", range(0, 120, 7))
def test_rows_wait_for_room_on_the_disk(tmp_path, room):
    """Whatever part of a row has still fitted, and with columns that come later."""
    logger = CSVLogger(folder=str(tmp_path))
    logged = {}
    for step in range(1, 9):
        logged[step] = {"a": step / 3} if step < 6 else {"a": step / 3, "late": step}
        if step in (3, 4, 6, 7):
            with full_disk(room):
                try:
                    logger.log_metrics(logged[step], step=step)
                    logger.save()
                except OSError:
                    pass
        else:
            logger.log_metrics(logged[step], step=step)
    logger.finalize("success")
    found = [{k: float(v) for k, v in row.items() if v} for row in rows(tmp_path)]
    assert found == [{"update": step} | values for step, values in logged.items()]
    assert not list(tmp_path.glob("*.partial"))


def test_what_changes_while_the_disk_is_full_is_written_as_it_is_then(tmp_path):
    """Such as a row that was in the file without its score."""
    logger = CSVLogger(folder=str(tmp_path))
    logger.log_metrics({"a": 1.0, "score": 1.0}, step=1)
    logger.log_metrics({"a": 2.0}, step=2)
    logger.save()
    with full_disk(10):
        logger.log_metrics({"score": 2.0}, step=2)
        with pytest.raises(OSError, match="large"):
            logger.log_metrics({"a": 3.123456789}, step=3)
        with pytest.raises(OSError, match="large"):
            logger.save()
        logger.log_metrics({"a": 3.0}, step=3)
    logger.finalize("success")
    assert [tuple(row.values()) for row in rows(tmp_path)] == [
        ("1", "1.0", "1.0"),
        ("2", "2.0", "2.0"),
        ("3", "3.0", ""),
    ]


def test_half_a_row_that_became_shorter_leaves_nothing_behind(tmp_path):
    logger = CSVLogger(folder=str(tmp_path))
    logger.log_metrics({"a": 1.0}, step=1)
    logger.save()
    with full_disk(logger.path.stat().st_size + 15):
        logger.log_metrics({"a": 2.123456789123456}, step=2)
        with pytest.raises(OSError, match="large"):
            logger.save()
    logger.log_metrics({"a": 2.0}, step=2)
    logger.finalize("success")
    assert logger.path.read_bytes() == b"update,a\r\n1,1.0\r\n2,2.0\r\n"


def test_a_logger_that_raises_is_said_once_and_tried_again(caplog):
    broken = fakes.BrokenLogger()
    logger = ToleratedLogger(broken, "mine")
    with caplog.at_level(logging.WARNING, logger="limner"):
        for step in range(3):
            assert logger.log_metrics({"a": 1.0}, step=step) is None
        logger.save()
        logger.finalize("success")
        assert logger.experiment is None
    (record,) = caplog.records
    assert "The logger mine failed (ConnectionError: no network)" in record.getMessage()
    assert broken.num_calls == 6
    assert logger.name == "broken"
    assert isinstance(logger, lightning_loggers.Logger)
    assert not hasattr(logger, "log_image")


def test_tensorboard_takes_values_and_pictures(tmp_path):
    logger = TensorBoardLogger(folder=str(tmp_path))
    logger.log_metrics({"train/loss": 1.5}, step=7)
    logger.log_image(key="samples", images=[Image.new("L", (9, 9), 255)], step=7)
    logger.finalize("success")
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (scalar,) = events.Scalars("train/loss")
    assert (scalar.step, scalar.value) == (7, 1.5)
    assert events.Images("samples")[0].width == 9


def test_tensorboard_hides_what_a_resume_does_again(tmp_path):
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


def test_tensorboard_writes_again_when_there_is_room(tmp_path, capfd):
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


def test_wandb_does_not_ask_for_a_network_all_the_time(tmp_path, monkeypatch):
    """Every attempt takes it a minute and a half, in which training waits."""
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
