"""The curve of a run, read from its metrics.csv."""

import csv

import pytest
from PIL import Image

from limner.errors import UserError
from limner.metrics.time_to_score import (
    Curve,
    read_curve,
    training_speed,
    write_csv,
    write_picture,
)
from support.runs import JUDGE

CSV = """update,train/loss,time/seconds,val/fid
10,3.0,1.5,
20,2.0,3.0,80.0
30,1.5,4.5,
40,1.0,6.0,50.0
50,,,45.0
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "metrics.csv").write_text(CSV)
    return tmp_path


def test_read_curve_uses_the_time_of_the_same_update_or_the_last_known_time(folder):
    assert read_curve(folder, score="val/fid") == Curve([20, 40, 50], [3, 6, 6], [80, 50, 45])


def test_seconds_to_is_the_time_of_the_first_score_that_is_good_enough():
    curve = Curve([1, 2, 3, 4], [10, 20, 30, 40], [9, 5, 7, 5])
    assert curve.seconds_to(5, lower_is_better=True) == 20
    assert curve.seconds_to(8, lower_is_better=True) == 20
    assert curve.seconds_to(4, lower_is_better=True) is None
    assert curve.seconds_to(7, lower_is_better=False) == 10


def test_training_speed_is_the_median_of_the_logged_speeds(folder):
    assert training_speed(folder) is None
    looks = "update,time/images_per_second\n10,5.0\n20,\n30,900.0\n40,1000.0\n"
    (folder / "metrics.csv").write_text(looks)
    assert training_speed(folder) == 900


@pytest.mark.parametrize(
    ("content", "score", "message"),
    [
        (None, "val/fid", "no metrics.csv"),
        ("update,val/fid\n1,2\n", "val/fid", "no column time/seconds"),
        (CSV, "val/kid", "no column val/kid, but: val/fid"),
    ],
)
def test_read_curve_names_what_is_missing(tmp_path, content, score, message):
    if content is not None:
        (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        read_curve(tmp_path, score=score)


def test_curves_are_written_as_a_table_and_a_picture(folder):
    curves = {"a": read_curve(folder, score="val/fid"), "b": Curve([], [], [])}
    write_csv(curves, folder / "curve.csv", score="val/fid")
    with open(folder / "curve.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"run": "a", "update": "20", "seconds": "3.0", "val/fid": "80.0"}
    assert len(rows) == 3
    write_picture(curves, folder / "curve.png", score="val/fid")
    with Image.open(folder / "curve.png") as picture:
        assert picture.size == (900, 600)
        assert len(set(picture.convert("L").tobytes())) > 10


def test_run_writes_its_curve(run):
    quick = [
        "trainer.max_epochs=2", "metrics.num_samples=50", "metrics.every_num_epochs=1", JUDGE,
        "trainer.limit_train_batches=2", "network=mlp", "~callbacks.pictures", "~callbacks.codes",
    ]  # fmt: skip
    result = run(*quick, "logger=csv")
    assert result.code == 0, result.err
    curve = read_curve(result.only_run(), score="val/fid_classifier")
    assert len(curve.values) == 2
    assert 0 < curve.seconds[0] < curve.seconds[1]
