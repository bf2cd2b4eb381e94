"""Distances between sets of pictures: 0 for copies, beside copying, the same everywhere."""

import math

import pytest
import torch

from limner.errors import UserError
from limner.metrics.set_distances import Comparison, SetTally
from support.any_size import AnySizeFeatures, distances
from support.picture_pairs import smooth
from support.two_processes import on_two

CPU = torch.device("cpu")
SIZES = [(16, 20), (40, 24), (30, 30), (16, 16), (25, 18)]


def pictures(first=0, num=5):
    return [smooth(*SIZES[i % 5], seed=first + i) for i in range(num)]


def tally_of(made=distances, **endings):
    return SetTally(made(), endings or {"": Comparison("output", "target", "input")})


def filled(tally, **sets):
    tally.start()
    for name, some in sets.items():
        for picture in some:
            tally.add(name, picture)
    return tally


def values(entries):
    return {name: entry["value"] for name, entry in entries.items()}


@pytest.mark.parametrize("num", [2, 50])
def test_distances_of_fewer_pictures_than_features_are_warned_of_once(caplog, num):
    assert 2 < AnySizeFeatures().num_features <= 50
    sets = {name: pictures(i, num=num) for i, name in enumerate(("output", "target", "input"))}
    tally = tally_of()
    for _ in range(2):
        filled(tally, **sets).entries(CPU, others={})
    assert len(caplog.records) == (num == 2)


def test_copies_of_the_targets_have_fid_0_and_a_kid_near_0():
    targets = pictures(num=40)
    others = [0.5 * each + 0.4 for each in pictures(50, num=40)]
    copied = filled(tally_of(), output=targets, target=targets, input=others)
    found = copied.entries(CPU, others={})
    far = found["fid_any"]["baselines"]["input"]
    assert found["fid_any"]["value"] == pytest.approx(0, abs=1e-6 * far)
    assert abs(found["kid_any"]["value"]) < 0.2 * found["kid_any"]["baselines"]["input"]
    assert found["kid_any"]["protocol"]["images_compared"] == {"generated": 40, "reference": 40}
    inputs = filled(tally_of(), output=others, target=targets, input=others)
    assert inputs.entries(CPU, others={})["fid_any"]["value"] == far


def test_scores_beside_the_model_do_not_depend_on_it_and_are_computed_once():
    tally, real = tally_of(), [(127.5 * (each + 1)).round().byte() for each in pictures(80)]
    others = {"": lambda num: real[:num]}
    sets = {"target": pictures(), "input": pictures(20)}
    first = filled(tally, output=pictures(40), **sets).entries(CPU, others=others)
    seen = tally.distances.features.num_seen
    assert seen == 20
    second = filled(tally, output=pictures(60), **sets).entries(CPU, others=others)
    assert tally.distances.features.num_seen == seen + 5
    for name, entry in first.items():
        assert second[name]["value"] != entry["value"]
        assert second[name]["baselines"] == entry["baselines"]
        assert second[name]["floor"] == entry["floor"]
    fresh = filled(tally_of(), output=pictures(60), **sets).entries(CPU, others=others)
    assert fresh == second, "a resumed run finds the same scores"


def test_order_and_chunks_of_pictures_do_not_matter():
    same = [smooth(16, 16, seed=i) for i in range(20)]
    mixed = [each for pair in zip(same, pictures(num=20), strict=True) for each in pair]
    tally, other = tally_of(), tally_of()
    sets = {"target": pictures(num=40), "input": pictures(20, num=40)}
    found = filled(tally, output=mixed, **sets).entries(CPU, others={})
    again = filled(other, output=[*same, *pictures(num=20)], **sets).entries(CPU, others={})
    assert values(found) == pytest.approx(values(again), rel=1e-4)
    assert tally.distances.features.num_calls > other.distances.features.num_calls


def test_pictures_of_weight_0_do_not_count():
    tally, once = tally_of(), tally_of()
    sets = {"output": pictures(40), "target": pictures(), "input": pictures(20)}
    filled(tally, **sets)
    for name in sets:
        tally.add(name, smooth(16, 16, seed=99), weight=0.0)
    assert tally.entries(CPU, others={}) == filled(once, **sets).entries(CPU, others={})


def test_two_processes_find_the_scores_of_one(tmp_path):
    sets = {"output": pictures(40), "target": pictures(), "input": pictures(20)}

    def half(rank):
        tally = tally_of()
        tally.start()
        for name, some in sets.items():
            mine = some[:3] if rank == 0 else some[3:]
            for picture in mine:
                tally.add(name, picture)
            if rank == 1:  # five pictures do not divide evenly
                tally.add(name, mine[-1], weight=0.0)
        return tally.entries(CPU, others={"": lambda num: pictures(80, num)})

    alone = filled(tally_of(), **sets).entries(CPU, others={"": lambda num: pictures(80, num)})
    assert on_two(half, tmp_path) == [alone, alone]


def test_name_without_an_ending_is_the_mean_of_both_domains():
    tally = tally_of(
        _a=Comparison("output_a", "image_a", "image_b"),
        _b=Comparison("output_b", "image_b", "image_a"),
    )
    filled(
        tally, output_a=pictures(40), output_b=pictures(60), image_a=pictures(),
        image_b=pictures(20),
    )  # fmt: skip
    found = tally.entries(CPU, others={})
    names = [f"{score}_any{end}" for score in ("fid", "kid") for end in ("", "_a", "_b")]
    assert sorted(found) == sorted(names)
    for score in ("fid_any", "kid_any"):
        parts = [found[f"{score}{ending}"] for ending in ("_a", "_b")]
        assert found[score]["value"] == pytest.approx(sum(p["value"] for p in parts) / 2)
        copies = [part["baselines"]["input"] for part in parts]
        assert copies[0] == pytest.approx(copies[1]), "copying exchanges the two sets"
        assert found[score]["protocol"]["mean_of"] == ["_a", "_b"]


def test_many_pictures_have_the_fid_of_their_moments():
    targets, outputs = pictures(0, 60), pictures(100, 60)
    few = filled(tally_of(), output=outputs[:48], target=targets[:48])
    many = filled(tally_of(), output=outputs, target=targets)
    a, b = (values(each.entries(CPU, others={}))["fid_any"] for each in (few, many))
    assert a == pytest.approx(b, rel=0.3)
    assert math.isfinite(b)


def test_a_single_picture_has_no_distances_and_too_few_are_refused():
    tally = filled(tally_of(), output=pictures(num=1), target=pictures(num=1))
    assert tally.entries(CPU, others={}) == {}
    distances().check(2, "two")
    with pytest.raises(UserError, match="The test split: 1 pictures, and fid and kid need 2"):
        distances().check(1, "The test split")
    with pytest.raises(UserError, match=r"need 7 or more \(metrics.distances.kid_subset_size=7\)"):
        distances(kid_subset_size=7).check(6, "All")


class WithoutSuffix(AnySizeFeatures):
    """A feature network whose scores would have no name."""

    suffix = "any"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": []}, "choose from fid, kid"),
        ({"scores": ["prdc"]}, "choose from fid, kid"),
        ({"kid_num_subsets": 0}, "kid_num_subsets=0"),
        ({"kid_subset_size": 1}, "must be 2 or more, or auto"),
        ({"features": WithoutSuffix()}, "metrics.distances.features: suffix='any'"),
    ],
)
def test_values_out_of_range_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        distances(**changes)
