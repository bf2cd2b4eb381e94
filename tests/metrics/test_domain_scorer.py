"""All scores of two domains, with their baselines and protocols."""

import pytest
import torch

from limner.errors import UserError
from limner.metrics.domain_scorer import DomainScorer
from support.any_size import FakeDomains, batches, distances, outputs_of

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMNER_CACHE", str(tmp_path))


def scorer_of(data, **changes):
    return DomainScorer(data, "validation", **{
        "scores": ["cycle", "identity", "psnr", "ssim", "mae"], "distances": distances(),
        "perceptual": None, "baselines": ["input", "blur", "blend"], "slow_megapixels": 20.0,
    } | changes)  # fmt: skip


def scored(data, num=None, **changes):
    scorer = scorer_of(data, **changes)
    scorer.start()
    for batch in batches(data)[:num]:
        scorer.add(outputs_of(batch), batch)
    if scorer.is_whole:
        scorer.find_baselines(CPU)
    return scorer, scorer.entries(CPU)


def test_entries_have_baselines_and_the_facts_that_comparisons_need():
    _, found = scored(FakeDomains())
    assert {"cycle", "identity", "kid_any", "kid_any_a", "kid_any_b", "psnr_ab", "psnr_ba"} <= set(
        found
    )
    for name in ("psnr_ab", "psnr_ba"):
        entry = found[name]
        assert set(entry["baselines"]) == {"input", "blur", "blend"}
        assert entry["value"] > max(entry["baselines"].values()) + 3
        assert entry["protocol"]["direction"] == name[-2:]
        assert entry["protocol"]["num_pictures"] == 4
    for name in ("kid_any", "fid_any_a", "fid_any_b"):
        assert "input" in found[name]["baselines"]
        assert "floor" in found[name]
        assert found[name]["protocol"]["feature_network"] == "any size"
    assert found["fid_any_a"]["protocol"]["num_pictures"] == 4
    assert found["cycle"]["baselines"] == {"input": 0.0}
    assert found["cycle"]["protocol"]["num_pictures"] == 8


def test_domains_without_hidden_pairs_have_no_scores_of_pairs():
    scorer, found = scored(FakeDomains(5, 3, hidden_pairs=False))
    assert scorer.found == {}
    assert not [name for name in found if name.endswith(("_ab", "_ba"))]
    assert found["cycle"]["protocol"]["num_pictures"] == 8


def test_part_of_the_pairs_is_not_whole():
    scorer, found = scored(FakeDomains(), num=2)
    assert not scorer.is_whole
    assert "baselines" not in found["psnr_ab"]
    assert found["psnr_ab"]["protocol"]["num_pictures"] == 2


def test_domain_with_one_picture_is_refused():
    with pytest.raises(UserError, match="The validation split of domain b: 1 pictures"):
        scorer_of(FakeDomains(4, 1, hidden_pairs=False))
    found = scored(FakeDomains(4, 1, hidden_pairs=False), distances=None)[1]
    assert set(found) == {"cycle", "identity"}
