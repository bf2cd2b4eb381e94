import pytest

from limner.data.unpaired_splits import cut_domains, cut_hidden_pairs, keys_of
from limner.errors import UserError

FRACTIONS = {"validation_fraction": 0.2, "test_fraction": 0.1, "seed": 0, "group": None}
SPLITS = ("train", "validation", "test")


def names_of(keys, cut, letter, split):
    source, indices = cut[letter][split]
    return [keys[letter][source][i] for i in indices.tolist()]


def numbered(*numbers):
    return [f"{number:02d}" for number in numbers]


def test_cut_domains_gives_each_domain_its_share():
    keys = {"a": {"train": numbered(*range(20))}, "b": {"train": numbered(*range(50))}}
    cut = cut_domains(keys, **FRACTIONS)
    assert [len(cut["a"][split][1]) for split in SPLITS] == [14, 4, 2]
    assert [len(cut["b"][split][1]) for split in SPLITS] == [35, 10, 5]
    for letter in "ab":
        every = [name for split in SPLITS for name in names_of(keys, cut, letter, split)]
        assert sorted(every) == keys[letter]["train"]


def test_cut_domains_takes_the_splits_of_one_domain():
    keys = {"a": {"train": ["x"] * 9, "validation": ["y"] * 3}, "b": {"train": ["z"] * 20}}
    cut = cut_domains(keys, **FRACTIONS)
    assert cut["a"]["validation"][0] == "validation"
    assert cut["b"]["validation"][0] == "train"


def test_hidden_pairs_have_equal_names_in_the_same_order_and_are_trained_in_no_domain():
    keys = {
        "a": {"train": numbered(*range(30))},
        "b": {"train": numbered(*range(39, 9, -1))},
    }
    cut = cut_hidden_pairs(keys, **FRACTIONS)
    for split, number in (("validation", 4), ("test", 2)):
        held = names_of(keys, cut, "a", split)
        assert held == names_of(keys, cut, "b", split)
        assert len(held) == number
        for letter in "ab":
            assert not set(held) & set(names_of(keys, cut, letter, "train"))
    held = {name for split in SPLITS[1:] for name in names_of(keys, cut, "a", split)}
    for letter in "ab":
        assert set(names_of(keys, cut, letter, "train")) == set(keys[letter]["train"]) - held


def test_hidden_pairs_are_the_equal_names_of_splits_that_both_domains_have():
    keys = {
        "a": {"train": numbered(*range(10)), "validation": ["p", "q", "r"]},
        "b": {"train": numbered(*range(20, 30)), "validation": ["r", "s", "q"]},
    }
    cut = cut_hidden_pairs(keys, validation_fraction=0.2, test_fraction=0.0, seed=0, group=None)
    assert names_of(keys, cut, "a", "validation") == ["q", "r"]
    assert names_of(keys, cut, "b", "validation") == ["q", "r"]
    assert cut["b"]["validation"][1].tolist() == [2, 0]
    assert [len(cut[letter]["train"][1]) for letter in "ab"] == [10, 10]


def test_no_pairs_are_needed_if_nothing_is_held_out():
    keys = {"a": {"train": ["p", "q"]}, "b": {"train": ["r", "s"]}}
    cut = cut_hidden_pairs(keys, validation_fraction=0.0, test_fraction=0.0, seed=0, group=None)
    assert [len(cut["a"][split][1]) for split in SPLITS] == [2, 0, 0]


def test_groups_of_hidden_pairs_are_trained_in_no_domain():
    """Variants 1 and 2 of a thing are in both domains, variant 3 only in domain a."""
    every = [f"{i:02d}_{variant}" for i in range(20) for variant in range(1, 4)]
    keys = {"a": {"train": every}, "b": {"train": [n for n in every if not n.endswith("3")]}}
    cut = cut_hidden_pairs(keys, **FRACTIONS | {"group": "^([^_]+)"})
    held = [names_of(keys, cut, letter, "validation") for letter in "ab"]
    assert held[0] == held[1]
    assert 6 <= len(held[0]) <= 10
    assert not any(name.endswith("3") for name in held[0]), "pictures without a partner"
    things = {name[:2] for split in SPLITS[1:] for name in names_of(keys, cut, "a", split)}
    for letter, variants in (("a", 3), ("b", 2)):
        train = names_of(keys, cut, letter, "train")
        assert not things & {name[:2] for name in train}
        assert len(train) == variants * (20 - len(things))


def test_groups_of_unpaired_domains_stay_in_one_split():
    keys = {letter: {"train": [f"{i}_{v}" for i in range(15) for v in "xy"]} for letter in "ab"}
    cut = cut_domains(keys, **FRACTIONS | {"group": "^([^_]+)"})
    for letter in "ab":
        parts = [{n.split("_")[0] for n in names_of(keys, cut, letter, s)} for s in SPLITS]
        assert all(parts)
        assert sum(map(len, parts)) == 15


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ({"train": ["p", "q"]}, {"train": ["r", "s"]}, "p, q, ... in a and r, s, ... in b"),
        ({"train": ["p", "p"]}, {"train": ["p", "q"]}, "domain a has 2 pictures named p"),
        (
            {"train": ["p"], "test": ["q"]},
            {"train": ["p"]},
            "only domain a has its own test pictures",
        ),
        ({"train": ["p"], "validation": ["q"]}, {"train": ["p"], "validation": ["r"]}, "q, ..."),
    ],
)
def test_hidden_pairs_that_cannot_be_are_refused_with_the_key_to_change(a, b, message):
    with pytest.raises(UserError, match=r"data\.hidden_pairs=true: ") as refused:
        cut_hidden_pairs({"a": a, "b": b}, **FRACTIONS)
    assert message in str(refused.value)
    assert "data.hidden_pairs=false" in str(refused.value)


@pytest.mark.parametrize(
    ("names", "folder", "keys"),
    [
        (["noto/x.png", "noto/y.JPG"], "noto", ["x", "y"]),
        (["emoji/noto/x.png", "emoji/noto/faces/y.png"], "noto", ["x", "faces/y"]),
        (["trainA/x.png", "trainA/y.png"], "A", ["x", "y"]),
        (["one/x.v2.png", "one/y.png"], None, ["x.v2", "y"]),
        (["x.png", "deep/y.png"], None, ["x", "deep/y"]),
        (["validation 12", "validation v1.2"], None, ["validation 12", "validation v1.2"]),
    ],
)
def test_keys_are_paths_below_the_folder_of_the_domain_without_suffix(names, folder, keys):
    assert keys_of(names, folder) == keys
