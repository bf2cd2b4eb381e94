"""Training, validation and test images are disjoint."""

import pytest
import torch

from limner.data.splits import check_fractions, cut, group_keys, split_sizes
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


SKIN = "^(.*?)(?:-1f3f[b-f]|$)"


def test_group_of_a_name_is_what_the_parentheses_match():
    names = ["1f44b", "1f44b-1f3fb", "1f44b-1f3ff", "1f44c-1f3fb-200d", "1f44c"]
    assert group_keys(names, SKIN) == ["1f44b", "1f44b", "1f44b", "1f44c", "1f44c"]
    assert group_keys(["anna_1_left", "anna_2_left", "anna_1_right"], "^(.*)_.*_(.*)$") == [
        "annaleft", "annaleft", "annaright",
    ]  # fmt: skip


def test_name_without_a_match_is_a_group_of_its_own():
    keys = group_keys(["a_1", "a_2", "b", "c"], "^(.)_")
    assert len(set(keys)) == 3
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("^[a-z]+", "needs parentheses"),
        ("^(.", "is no regular expression"),
        ("^x(.)", "matches no name; the first name is a_1"),
    ],
)
def test_pattern_that_makes_no_groups_is_refused(pattern, message):
    with pytest.raises(UserError, match=rf"data\.group=.*{message}"):
        group_keys(["a_1", "b_1"], pattern)


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_together_and_the_shares_are_nearly_met(seed):
    sizes = torch.randint(1, 6, (200,), generator=torch.Generator().manual_seed(seed)).tolist()
    groups = [f"group {i}" for i, size in enumerate(sizes) for _ in range(size)]
    total = len(groups)
    splits = cut(
        {"train": total}, validation_fraction=0.1, test_fraction=0.2, seed=seed, groups=groups
    )
    parts = {name: indices.tolist() for name, (_, indices) in splits.items()}
    assert sorted(number for indices in parts.values() for number in indices) == list(range(total))
    of = {name: {groups[i] for i in indices} for name, indices in parts.items()}
    assert not of["train"] & of["validation"]
    assert not of["train"] & of["test"]
    assert not of["validation"] & of["test"]
    assert abs(len(parts["validation"]) - 0.1 * total) <= 3
    assert abs(len(parts["test"]) - 0.2 * total) <= 3


def test_groups_of_one_image_are_cut_in_the_same_shares_by_the_seed_alone():
    def validation(seed, names):
        arguments = {"validation_fraction": 0.3, "test_fraction": 0.0, "seed": seed}
        return cut({"train": 50}, **arguments, groups=names)["validation"][1].tolist()

    names = [str(i) for i in range(50)]
    assert len(validation(1, names)) == 15
    assert validation(1, names) == validation(1, names)
    assert validation(1, names) != validation(2, names)


def test_share_above_zero_gets_a_group_even_if_all_groups_are_large():
    splits = cut(
        {"train": 30}, validation_fraction=0.04, test_fraction=0.0, seed=0,
        groups=["a"] * 12 + ["b"] * 10 + ["c"] * 8,
    )  # fmt: skip
    assert splits["validation"][1].tolist() == list(range(22, 30))
    assert len(splits["test"][1]) == 0


def test_groups_that_leave_no_image_to_train_on_are_refused():
    with pytest.raises(UserError, match="9 images or sequences in groups: 1,"):
        cut({"train": 9}, validation_fraction=0.1, test_fraction=0, seed=0, groups=["a"] * 9)


@pytest.mark.parametrize(
    ("sizes", "text"),
    [((1200, 0, 1), "1,200 train, 1 test picture"), ((1, 1, 2), "1 train, 1 validation, 2 test"),
     ((0, 0, 0), "no pictures")],
)  # fmt: skip
def test_split_sizes_leave_out_empty_splits_and_count_the_last(sizes, text):
    names = ("train", "validation", "test")
    splits = {n: ("a", torch.arange(size)) for n, size in zip(names, sizes, strict=True)}
    assert split_sizes(splits, "picture").startswith(text)
    assert split_sizes(splits, "picture").endswith("picture" + "s" * (sizes[2] != 1))
