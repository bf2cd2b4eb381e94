"""scores.json from any source."""

import io
import json
import math

import pytest
from rich.console import Console

from limner.files.plain import NotPlainError
from limner.runs.frame_tables import frame_tables
from limner.runs.scores import read_scores, scores_table, scores_tables


def test_read_scores_returns_nothing_without_a_file(tmp_path):
    assert read_scores(tmp_path / "scores.json") == {}


def test_read_scores_accepts_values_that_are_not_finite(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text('{"val/fid": {"value": NaN, "protocol": {}}}')
    assert math.isnan(read_scores(path)["val/fid"]["value"])


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"fid": 3.0},
        {"fid": {"value": 3.0}},
        {"fid": {"value": "3", "protocol": {}}},
        {"fid": {"value": True, "protocol": {}}},
        {"fid": {"value": 10**400, "protocol": {}}},
        {"fid": {"value": 3.0, "std": None, "protocol": {}}},
        {"fid": {"value": 3.0, "floor": "2", "protocol": {}}},
    ],
)
def test_read_scores_refuses_everything_but_scores(tmp_path, content):
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(content))
    with pytest.raises(NotPlainError):
        read_scores(path)


def test_table_has_a_column_of_real_images_if_a_score_has_a_floor():
    scores = {"fid": {"value": 3.0, "protocol": {}}, "kid": {"value": 4.0, "protocol": {}}}
    assert [column.header for column in scores_table(scores).columns] == ["score", "value", "of"]
    scores["fid"]["floor"] = 2.5
    column = scores_table(scores).columns[2]
    assert (column.header, [str(cell) for cell in column.cells]) == ("real images", ["2.5", ""])


def pictures(value, **changes):
    protocol = {"num_pictures": 5, "split": "test", "colour": "y of BT.601", "border": 4}
    protocol["baselines"] = {"blur": "sigma 0.5 (best of 0.5, 1)"}
    return {"value": value, "protocol": protocol, **changes}


@pytest.mark.parametrize("baselines", [[1.0], {"bicubic": "28"}, {"bicubic": {"value": 28.0}}])
def test_read_scores_refuses_baselines_that_are_no_numbers(tmp_path, baselines):
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"val/psnr": pictures(30.0, baselines=baselines)}))
    with pytest.raises(NotPlainError, match="baseline"):
        read_scores(path)


def test_scores_of_pictures_have_a_table_with_their_baselines_within_80_columns():
    names = ["val/psnr", "val/ssim", "val/mae", "val/perceptual"]
    entries = {"val/loss": {"value": 0.1, "protocol": {"split": "validation"}}}
    entries |= {n: pictures(30.12, baselines={"bicubic": 28.4, "blur": 2.5}) for n in names}
    ordinary, table = scores_tables(entries)
    assert ordinary.row_count == 1
    assert str(table.title) == "5 test pictures, y of BT.601, border 4"
    assert [str(column.header) for column in table.columns[1:]] == names
    cells = [[str(cell) for cell in column.cells] for column in table.columns[:2]]
    assert cells == [["this model", "bicubic", "blur (sigma 0.5)"], ["30.12", "28.4", "2.5"]]
    console = Console(width=80)
    console.begin_capture()
    console.print(table)
    lines = console.end_capture().splitlines()
    assert len(lines) == 6  # nothing is folded
    assert max(map(len, lines)) <= 80


def test_scores_without_baselines_have_one_table():
    (table,) = scores_tables({"val/psnr": pictures(30.0)})
    assert table.row_count == 1
    (table,) = scores_tables({"fid": {"value": 3.0, "protocol": {}}})
    assert table.columns[0].header == "score"


def test_title_of_a_table_stays_in_one_line():
    (table,) = scores_tables({"val/psnr": pictures(30.0)})
    console = Console(width=80)
    console.begin_capture()
    console.print(table)
    assert console.end_capture().splitlines()[0].strip() == str(table.title)


def test_scores_of_sets_stand_beside_copying_and_other_real_pictures():
    how = {"num_pictures": 370, "feature_network": "some"}
    entries = {
        "val/kid": {"value": 0.5, "baselines": {"input": 0.75}, "floor": 0.25, "protocol": how},
        "val/loss": {"value": 3.0, "protocol": {"split": "validation"}},
        "val/psnr": pictures(30.0, baselines={"input": 20.0}),
    }
    sets, single = scores_tables(entries)
    heads = [str(column.header) for column in sets.columns]
    assert heads == ["score", "value", "input", "real images", "of"]
    rows = list(zip(*([str(c) for c in column.cells] for column in sets.columns), strict=True))
    assert rows[0] == ("val/kid", "0.5", "0.75", "0.25", "370 pictures")
    assert rows[1] == ("val/loss", "3", "", "", "validation images")
    assert single.row_count == 2


def test_table_of_sequences_keeps_the_names_of_scores_whole_at_80_columns():
    protocol = {"num_samples": 16, "reference": {"num_images": 16}, "num_frames": 4}
    names = ["val/fid_frames_lite0", "val/fid_differences_lite0", "log_likelihood_iw500"]
    entry = {"value": 1234.5678, "std": 1.5, "protocol": protocol, "floor": 12.345}
    entry["baselines"] = {"still": 123.456, "shuffled": 12.3456}
    console = Console(width=80, file=io.StringIO())
    console.print(scores_table(dict.fromkeys(names, entry)))
    text = console.file.getvalue()
    assert all(name in text for name in names)
    assert max(map(len, text.splitlines())) <= 80


def test_scores_of_sequences_are_of_sequences():
    entry = {"value": 1.0, "protocol": {"split": "validation"}}
    of_frames = {"value": 1.0, "protocol": {"split": "validation", "num_frames": 4}}
    (*_, column) = scores_table({"a": entry, "b": of_frames}).columns
    assert [str(cell) for cell in column.cells] == ["validation images", "validation sequences"]


@pytest.mark.parametrize(
    ("number", "steps", "title"),
    [(1, [2.0], "1 validation sequence, mean over 1 step"),
     (30, [2.0, 3.0], "30 validation sequences, mean over 2 steps")],
)  # fmt: skip
def test_table_of_frames_counts_its_sequences_and_steps(number, steps, title):
    protocol = {"num_sequences": number, "split": "validation"}
    entry = {"value": 2.0, "protocol": protocol, "steps": {"model": steps}}
    assert str(frame_tables({"val/psnr": entry})[0].title) == title
