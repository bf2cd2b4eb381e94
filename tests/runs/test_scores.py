"""scores.json from any source."""

import json
import math

import pytest

from limner.files.plain import NotPlainError
from limner.runs.scores import read_scores, scores_table


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
