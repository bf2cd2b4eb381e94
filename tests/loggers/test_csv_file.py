"""metrics.csv loses no row that can be kept."""

import csv

import pytest

from limner.loggers import CSVLogger
from support.disks import full_disk


def rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_file_has_one_row_per_logged_update(tmp_path):
    logger = CSVLogger(folder=str(tmp_path))
    logger.log_metrics({"a": 1.0}, step=10)
    logger.log_metrics({"b": 2.0}, step=10)
    logger.log_metrics({"a": 3.0}, step=20)
    logger.finalize("success")
    assert rows(tmp_path) == [
        {"update": "10", "a": "1.0", "b": "2.0"},
        {"update": "20", "a": "3.0", "b": ""},
    ]


def test_csv_file_completes_a_row_that_was_written(tmp_path):
    """At the end of an epoch, one update logs losses, a checkpoint, and then scores."""
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


def test_csv_file_adds_columns_that_appear_later(tmp_path):
    logger = CSVLogger(folder=str(tmp_path))
    logger.log_metrics({"a": 1.0}, step=1)
    logger.log_metrics({"c": 5.0}, step=2)
    logger.save()
    assert rows(tmp_path)[1] == {"update": "2", "a": "", "c": "5.0"}


def test_csv_file_keeps_or_replaces_rows_after_a_resume(tmp_path):
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


def test_csv_file_has_one_row_when_a_resume_completes_it(tmp_path):
    """This happens when a run was stopped between the last update of an epoch and its scores."""
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


def test_csv_file_drops_rows_after_the_resumed_update_even_if_nothing_is_logged(tmp_path):
    first = CSVLogger(folder=str(tmp_path))
    for step in (10, 20, 30):
        first.log_metrics({"a": step}, step=step)
    first.save()
    second = CSVLogger(folder=str(tmp_path))
    second.go_on_from(20)
    second.finalize("failed")
    assert [row["update"] for row in rows(tmp_path)] == ["10", "20"]


def test_csv_file_keeps_whole_rows_when_it_is_cut_off_anywhere(tmp_path):
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


def test_csv_file_drops_garbage_after_a_power_failure(tmp_path):
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
def test_csv_file_keeps_rows_in_memory_while_the_disk_is_full(tmp_path, room):
    """Any part of a row may have been written before, and columns may be added later."""
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


def test_csv_file_writes_changed_rows_when_the_disk_has_room_again(tmp_path):
    """An example is a row that was in the file without its score."""
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


def test_csv_file_leaves_no_rest_of_a_row_that_became_shorter(tmp_path):
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
