"""A damaged metrics.csv keeps every whole row, and the lost rows are reported."""

import csv
import io
import itertools
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from limner.files.logged_rows import read_rows
from limner.loggers import CSVLogger

COLUMNS = ["train/loss", "train/images_seen", "val/fid"]


def written(folder: Path, updates) -> bytes:
    """Return the bytes of a file with one row for each of the updates."""
    logger = CSVLogger(folder=str(folder))
    for update in updates:
        values = (update / 7, update * 64, 1e-5 * update)
        logger.log_metrics(dict(zip(COLUMNS, values, strict=True)), step=update)
    logger.save()
    return logger.path.read_bytes()


def resumed(folder: Path, update: int, *more: int) -> list[dict[str, str]]:
    """Return the rows after a resume from `update` that logs `more`."""
    logger = CSVLogger(folder=str(folder))
    logger.go_on_from(update)
    for step in more:
        logger.log_metrics({"train/loss": step / 7}, step=step)
    logger.finalize("success")
    with open(folder / "metrics.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def updates(rows) -> list[int]:
    return [int(row["update"]) for row in rows]


def test_damage_of_ninety_bytes_costs_only_the_rows_that_it_hits(tmp_path, caplog):
    whole = written(tmp_path, range(1, 45))
    start = whole.index(b"\r\n22,") + 2
    damaged = whole[:start] + bytes(90) + whole[start + 90 :]
    (tmp_path / "metrics.csv").write_bytes(damaged)
    rows = resumed(tmp_path, 44, 45)
    hit = damaged[start:].index(b"\r\n")
    num_lost = whole[start : start + hit].count(b"\r\n") + 1
    assert updates(rows) == [*range(1, 22), *range(22 + num_lost, 46)]
    assert (tmp_path / "metrics.damaged.csv").read_bytes() == damaged
    (record,) = caplog.records
    message = record.getMessage()
    assert f"was damaged: {44 - num_lost} rows are whole and stay in it" in message
    assert "lost: line 23." in message
    assert "The damaged file is now metrics.damaged.csv." in message


def test_second_damaged_file_gets_a_number(tmp_path):
    for _ in range(3):
        whole = written(tmp_path, [1, 2, 3])
        (tmp_path / "metrics.csv").write_bytes(whole[:-1])
        assert updates(resumed(tmp_path, 3)) == [1, 2]
    names = sorted(path.name for path in tmp_path.glob("*.damaged*"))
    assert names == ["metrics.damaged.csv", "metrics.damaged_2.csv", "metrics.damaged_3.csv"]


@pytest.mark.parametrize(
    ("name", "spoilt", "kept", "lost"),
    [
        ("a torn last line", lambda text: text[:-4], [1, 2, 3], "line 5"),
        ("an unfinished quote", lambda t: t.replace(b"\r\n2,", b'\r\n2,"'), [1, 3, 4], "line 3"),
        ("a repeated row", lambda t: t + t[t.index(b"4,") :], [1, 2, 3, 4], "line 5"),
        ("invalid UTF-8", lambda t: t.replace(b"\r\n3,", b"\r\n\xff,"), [1, 2, 4], "line 4"),
        ("a wrong update", lambda t: t.replace(b"\r\n2,", b"\r\n9,"), [1, 3, 4], "line 3"),
        ("a field too many", lambda t: t.replace(b"\r\n2,", b"\r\n2,7,"), [1, 3, 4], "line 3"),
        ("no number", lambda t: t.replace(b"\r\n2,", b"\r\n2,x"), [1, 3, 4], "line 3"),
        ("a torn header", lambda t: t[3:], [1, 2, 3, 4], "the names of columns"),
        ("no header", lambda t: t[t.index(b"1,") :], [1, 2, 3, 4], "the names of columns"),
        ("only garbage", lambda t: b"\0\xff" * 30, [], "the names of columns, line 1"),
    ],
)
def test_lost_rows_are_reported(tmp_path, caplog, name, spoilt, kept, lost):
    damaged = spoilt(written(tmp_path, [1, 2, 3, 4]))
    (tmp_path / "metrics.csv").write_bytes(damaged)
    rows = resumed(tmp_path, 9, 10)
    assert updates(rows) == [*kept, 10], name
    assert (tmp_path / "metrics.damaged.csv").read_bytes() == damaged
    assert f"{len(kept)} rows are whole" in caplog.text
    assert "lost: " in caplog.text


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_file_that_another_program_saved_is_read_whole(tmp_path, caplog, end):
    text = f"\ufeffupdate,train/loss{end}1,0.5{end}{end}2,-1e-05{end}3,nan{end}"
    (tmp_path / "metrics.csv").write_text(text, encoding="utf-8", newline="")
    rows = resumed(tmp_path, 3)
    assert [row["train/loss"] for row in rows] == ["0.5", "-1e-05", "nan"]
    assert not caplog.records
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_lost_column_names_cost_no_values(tmp_path):
    whole = written(tmp_path, [1, 2, 3])
    header, *_ = whole.split(b"\r\n")
    for torn in (header[:9], header.replace(b"images", b"im\xffges"), b"", header[:20] + b"\0"):
        (tmp_path / "metrics.csv").write_bytes(torn + whole[len(header) :])
        rows = resumed(tmp_path, 3, 4)
        assert [list(row.values())[2] for row in rows[:3]] == ["64", "128", "192"], torn
        assert rows[3]["train/loss"] == str(4 / 7)


@pytest.mark.parametrize("there", [False, True])
def test_missing_file_is_reported(tmp_path, caplog, there):
    if there:
        (tmp_path / "metrics.csv").touch()
    assert updates(resumed(tmp_path, 20, 30)) == [30]
    (record,) = caplog.records
    assert f"was {'empty' if there else 'missing'}: what was logged up to update 20" in (
        record.getMessage()
    )


def test_missing_file_is_not_reported_when_the_run_logged_nothing(tmp_path, caplog):
    CSVLogger(folder=str(tmp_path)).sync()
    assert updates(resumed(tmp_path, 20, 30)) == [30]
    assert not caplog.records


def test_damage_during_training_costs_no_later_rows(tmp_path, caplog):
    """A new column makes the logger read its own file again."""
    logger = CSVLogger(folder=str(tmp_path))
    for update in range(1, 9):
        logger.log_metrics({"a": update}, step=update)
    logger.save()
    for update, size in ((9, None), (10, 30), (11, 0)):
        damaged = logger.path.read_bytes()[:size].replace(b"\r\n3,", b"\r\n\0,")
        damaged = damaged.replace(b"update", b"\0\0\0\0\0\0")
        logger.path.write_bytes(damaged)
        logger.log_metrics({f"new{update}": 1.0}, step=update)
        logger.save()
    with open(logger.path, newline="") as file:
        assert updates(csv.DictReader(file)) == [11]
    lost = [record.getMessage().partition("lost: ")[2] for record in caplog.records]
    assert lost[0].startswith("the names of columns, line 4. The damaged file is now")
    assert "its end" in lost[1]
    assert "all of it" in lost[2]


def test_damaged_file_is_put_aside_once_when_the_disk_is_full(tmp_path, monkeypatch):
    whole = written(tmp_path, [1, 2, 3])
    (tmp_path / "metrics.csv").write_bytes(whole[:-1])
    replace = os.replace
    logger = CSVLogger(folder=str(tmp_path))
    logger.go_on_from(3)

    def fail(*_):
        raise OSError("full")

    monkeypatch.setattr(os, "replace", fail)
    for step in (4, 5):
        with pytest.raises(OSError, match="full"):
            logger.log_metrics({"train/loss": 1.0}, step=step)
        assert (tmp_path / "metrics.csv").read_bytes() == whole[:-1]
    monkeypatch.setattr(os, "replace", replace)
    logger.finalize("success")
    with open(logger.path, newline="") as file:
        assert updates(csv.DictReader(file)) == [1, 2, 4, 5]
    assert [path.name for path in tmp_path.glob("*.damaged*")] == ["metrics.damaged.csv"]
    assert (tmp_path / "metrics.damaged.csv").read_bytes() == whole[:-1]


def test_pipe_in_place_of_the_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "metrics.csv")
    logger = CSVLogger(folder=str(tmp_path))
    logger.go_on_from(3)
    with pytest.raises(OSError, match="no regular file"):
        logger.log_metrics({"a": 1.0}, step=4)


def test_column_name_stays_in_its_line(tmp_path, caplog):
    logger = CSVLogger(folder=str(tmp_path))
    logger.log_metrics({"a\r\nb": 1.0, 'c,"d': 2.0}, step=1)
    logger.save()
    assert list(resumed(tmp_path, 1)[0]) == ["update", r"a\x0d\x0ab", 'c,"d']
    assert not caplog.records


WHOLE = b"".join(
    [b"update,train/loss,val/fid\r\n"]
    + [f"{update},{update / 7},{'' if update % 3 else update}\r\n".encode()
       for update in range(10, 130, 10)]
)  # fmt: skip
BOUNDS = [0, *itertools.accumulate(map(len, WHOLE.splitlines(keepends=True)))]


@settings(max_examples=150, deadline=None)
@given(
    start=st.integers(0, len(WHOLE) - 1),
    length=st.integers(1, 100),
    instead=st.none() | st.binary(max_size=100) | st.text("0123456789,.\r\n", max_size=100),
    last=st.sampled_from([0, 60, 120]),
)
@example(start=0, length=27, instead=b"", last=120)
@example(start=25, length=2, instead=b"", last=120)
@example(start=27, length=1, instead="9", last=120)
@example(start=27, length=100, instead="90,1,2\r\n95,3,4\r\n", last=120)
def test_rows_that_were_not_damaged_are_kept(start, length, instead, last):
    """Any span of the file is flipped, deleted, or replaced by garbage or by numbers."""
    end = min(start + length, len(WHOLE))
    if instead is None:
        instead = bytes(byte ^ 255 for byte in WHOLE[start:end])
    instead = instead.encode() if isinstance(instead, str) else instead
    damaged = WHOLE[:start] + instead + WHOLE[end:]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "metrics.csv").write_bytes(damaged)
        rows = resumed(Path(folder), last, 200, 210)
        aside = Path(folder, "metrics.damaged.csv")
        assert not aside.exists() or aside.read_bytes() == damaged
    found = updates(rows)
    assert found == sorted(set(found))
    assert found[-2:] == [200, 210]
    assert [row["train/loss"] for row in rows[-2:]] == [str(200 / 7), str(210 / 7)]
    whole = dict(zip(range(10, 130, 10), csv.reader(WHOLE.decode().splitlines()[1:]), strict=True))
    kept = {int(row["update"]): list(row.values())[:3] for row in rows[:-2]}
    lines = WHOLE.splitlines()
    new = [line.partition(b",")[0] for line in damaged.splitlines() if line not in lines]
    contradicted = any(field.isdigit() for field in new)  # A damaged row may look whole.
    for (line_start, line_end), update in zip(itertools.pairwise(BOUNDS[1:]), whole, strict=True):
        touched = start < line_end and end > line_start - 2
        if touched or update > last:
            continue
        assert contradicted or kept.get(update) == whole[update], update
    if instead == WHOLE[start:end]:
        assert list(kept) == [update for update in whole if update <= last]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text('0123456789,.\r\n"ue\x00\ufeff', max_size=200))
def test_file_of_arbitrary_bytes_is_read(content):
    found = read_rows(content.encode() if isinstance(content, str) else content)
    assert found.columns[0] == "update"
    assert len(set(found.columns)) == len(found.columns)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, found.columns)
    writer.writeheader()
    writer.writerows(found.rows)
    again = read_rows(text.getvalue().encode())
    assert again == (found.columns, found.rows, [])
