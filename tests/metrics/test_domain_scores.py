"""Scores of both domains: errors of cycles, hidden pairs, and other pictures for the floor."""

import pytest
import torch

from limner.errors import UserError
from limner.metrics.domain_scores import (
    DomainPairs,
    DomainTally,
    add_to_sets,
    facts_of_domains,
    other_pictures,
    sets_of_domains,
)
from limner.metrics.picture_quality import PictureQuality
from support.any_size import FakeDomains, batches, distances, outputs_of

CPU = torch.device("cpu")
PSNR = PictureQuality(scores=["psnr", "mae"], colour="rgb", border=0, perceptual=None)


def tally_of(data, quality=PSNR, scores=("cycle", "identity", "psnr", "mae"), **functions):
    tally = DomainTally(scores, quality)
    for batch in batches(data):
        tally.add(outputs_of(batch, **functions), batch)
    return tally


def test_perfect_translation_has_no_cycle_error_and_the_largest_psnr():
    tally = tally_of(FakeDomains())
    assert tally.error_means()["cycle"] == 0
    assert tally.error_means()["identity"] > 20, "each function changes its own domain too"
    for direction in ("ab", "ba"):
        assert tally.pair_means(direction) == {"psnr": pytest.approx(100, abs=50), "mae": 0}


def test_copying_has_no_errors_of_cycles_and_identity():
    same = {"to_a": lambda x: x, "to_b": lambda x: x}
    assert tally_of(FakeDomains(), **same).error_means() == {"cycle": 0, "identity": 0}
    brighter = {"to_a": lambda x: x, "to_b": lambda x: x + 10 / 127.5}
    found = tally_of(FakeDomains(), **brighter).error_means()
    assert found["cycle"] == pytest.approx(10, abs=1.5)  # clamped in bright places
    assert found["identity"] == pytest.approx(5, abs=1), "only G changes its domain"


def test_each_picture_counts_once_whatever_the_sizes_of_the_domains():
    data = FakeDomains(5, 3, hidden_pairs=False)
    tally = tally_of(data)
    assert tally.num_pictures == 8
    assert tally.errors["cycle_a"].sums[0] == 5
    assert tally.errors["cycle_b"].sums[0] == 3
    assert tally.pair_means("ab") == {}, "there are no pairs"


def test_sums_of_two_processes_add_up():
    data, parts = FakeDomains(), [DomainTally(["cycle", "psnr", "mae"], PSNR) for _ in range(2)]
    for i, batch in enumerate(batches(data)):
        parts[i % 2].add(outputs_of(batch), batch)
    parts[0].sums = parts[0].sums + parts[1].sums
    whole = tally_of(data, scores=["cycle", "psnr", "mae"])
    assert torch.allclose(parts[0].sums, whole.sums)
    assert parts[0].pair_means("ab") == pytest.approx(whole.pair_means("ab"))
    assert len(DomainTally(["psnr"], None).sums) == 0


def test_hidden_pairs_are_inputs_and_targets_of_each_direction():
    data = FakeDomains()
    for direction, back in (("ab", "ba"), ("ba", "ab")):
        view = DomainPairs(data, direction, "validation")
        for pair, batch in zip(
            view.whole_pictures("validation", device=CPU), batches(data), strict=True
        ):
            assert torch.equal(pair["input"], batch[f"image_{direction[0]}"])
            assert torch.equal(pair["image"], batch[f"image_{direction[1]}"])
        assert view.pictures("train")[0].fingerprint == f"domain {direction[1]}"
        assert view.protocol() != DomainPairs(data, back, "validation").protocol()


def test_sets_compare_each_domain_with_the_model_and_with_the_other_domain():
    data, sets = FakeDomains(6, 4, hidden_pairs=False), sets_of_domains(distances())
    sets.start()
    for batch in batches(data):
        add_to_sets(sets, outputs_of(batch), batch)
    found = sets.entries(CPU, others={})
    sizes = {ending: found[f"fid_any_{ending}"]["protocol"]["images_compared"] for ending in "ab"}
    assert sizes["a"] == {"generated": 4, "reference": 6}
    assert sizes["b"] == {"generated": 6, "reference": 4}
    for ending in "ab":
        entry = found[f"fid_any_{ending}"]
        assert entry["value"] < 0.5 * entry["baselines"]["input"], "the map is nearer than copying"


def test_other_pictures_are_of_the_training_split_and_always_the_same():
    data = FakeDomains()
    first, again = (other_pictures(data, "b", "validation", 4) for _ in range(2))
    assert len(first) == 4
    assert all(torch.equal(x, y) for x, y in zip(first, again, strict=True))
    scored = [data.picture("b", i) for i in range(4)]
    assert not any(torch.equal(x, y) for x in first for y in scored)
    assert other_pictures(data, "b", "validation", 9) is None
    assert other_pictures(data, "b", "train", 4) is None


def test_facts_change_with_the_pictures_of_either_domain():
    facts = facts_of_domains(FakeDomains(), "validation")
    assert (facts["num_pictures"], facts["split"], facts["hidden_pairs"]) == (
        8,
        "validation",
        True,
    )
    others = [
        facts_of_domains(FakeDomains(*n), "validation")["pictures"] for n in ((5, 4), (4, 5))
    ]
    assert len({facts["pictures"], *others}) == 3


def test_unknown_score_is_refused():
    with pytest.raises(UserError, match="cycles: choose from cycle, identity, psnr"):
        DomainTally(["cycles"], None)
