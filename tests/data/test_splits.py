"""Training, validation and test images are disjoint."""

import pytest
import torch

from limner.data.splits import check_fractions, cut
from limner.errors import UserError


def test_cut_takes_missing_splits_from_the_training_images():
    splits = cut({"train": 100}, validation_fraction=0.1, test_fraction=0.2, seed=3)
    assert {name: (split, len(which)) for name, (split, which) in splits.items()} == {
        "train": ("train", 70), "validation": ("train", 10), "test": ("train", 20),
    }  # fmt: skip
    together = torch.cat([which for _, which in splits.values()])
    assert together.sort().values.tolist() == list(range(100))


def test_cut_takes_a_split_of_the_source_whole():
    splits = cut({"train": 10, "test": 4}, validation_fraction=0.0, test_fraction=0.5, seed=0)
    assert splits["test"][0] == "test"
    assert splits["test"][1].tolist() == [0, 1, 2, 3]
    assert len(splits["train"][1]) == 10


def test_cut_depends_only_on_the_seed():
    def validation(seed):
        sizes = {"train": 50}
        return cut(sizes, validation_fraction=0.5, test_fraction=0, seed=seed)["validation"][1]

    assert torch.equal(validation(1), validation(1))
    assert not torch.equal(validation(1), validation(2))


@pytest.mark.parametrize(("validation", "test"), [(-0.1, 0.0), (0.5, 0.5)])
def test_check_fractions_refuses_shares_that_leave_no_training_image(validation, test):
    with pytest.raises(UserError, match=r"data\.validation_fraction"):
        check_fractions(validation, test)
