"""Two columns of a hub data set are pairs, and a model that changes pictures trains on them."""

import numpy as np
import pytest

from limner.data import HuggingFacePairs
from limner.errors import UserError
from support import hub_data


def opened(path, **given):
    names = ("revision", "subset", "train_split", "image_column")
    source = HuggingFacePairs(path=str(path), **dict.fromkeys(names) | given)
    return source.pairs()


@pytest.fixture
def path(tmp_path):
    columns = {
        "before": [hub_data.png(i) for i in range(3)],
        "after": [hub_data.png(i + 3) for i in range(3)],
        "text": ["a", "b", "c"],
    }
    return hub_data.write(tmp_path / "all.parquet", columns)


@pytest.mark.parametrize("chosen", [None, "after"])
def test_pairs_are_the_two_columns_of_a_row(path, chosen):
    (pairs,) = opened(path, input_column="before", image_column=chosen).values()
    assert len(pairs) == 3
    for i in range(3):
        assert np.array_equal(np.asarray(pairs.inputs.read(i)), hub_data.pixels(i))
        assert np.array_equal(np.asarray(pairs.targets.read(i)), hub_data.pixels(i + 3))
    assert pairs.inputs.fingerprint != pairs.targets.fingerprint


def test_column_that_is_missing_is_named_by_its_key(path):
    with pytest.raises(UserError, match=r"data\.input_column=text: the column has no pictures"):
        opened(path, input_column="text")
    with pytest.raises(UserError, match=r"data\.image_column=x: .* choose one of: after"):
        opened(path, input_column="before", image_column="x")
