"""Scores of images from any source, each with its protocol."""

import pytest
import torch

from limner.errors import UserError
from limner.metrics.evaluator import Evaluator
from support.any_size import AnySizeFeatures
from support.fakes import PixelFeatures, Store

OPTIONS = {
    "scores": ["fid", "inception_score", "kid", "prdc"],
    "batch_size": 32,
    "max_features": 60,
    "num_splits": 3,
    "kid_num_subsets": 4,
    "kid_subset_size": 50,
    "num_neighbours": 5,
}
CPU = torch.device("cpu")


def evaluated(generated, references, network=None, **changes):
    evaluator = Evaluator(features=network or PixelFeatures(), **{**OPTIONS, **changes})
    prepared = {
        ending: evaluator.reference(
            store, torch.arange(len(store)), about={"data": store.fingerprint}, device=CPU
        )
        for ending, store in references.items()
    }
    return evaluator.score(
        lambda start, stop: generated.images[start:stop],
        len(generated),
        references=prepared,
        device=CPU,
    )


def test_evaluator_reads_each_image_once_for_all_scores():
    network = PixelFeatures()
    found = evaluated(Store(70, 1), {"": Store(80, 2), "_test": Store(66, 3)}, network)
    assert network.num_seen == 70 + 80 + 66
    names = ["fid", "kid", "precision", "recall", "density", "coverage"]
    expected = {f"{n}{ending}_pixels" for n in names for ending in ("", "_test")}
    assert set(found) == expected | {"inception_score_pixels"}


@pytest.mark.parametrize(
    ("generated", "reference", "scores", "is_warned_of"),
    [(3, 80, ["fid"], True), (80, 3, ["fid"], True), (80, 80, ["fid"], False),
     (3, 80, ["inception_score"], False)],
)  # fmt: skip
def test_evaluator_warns_of_fewer_images_than_features(
    caplog, generated, reference, scores, is_warned_of
):
    assert 3 < PixelFeatures().num_features < 80
    evaluated(Store(generated), {"": Store(reference, 1)}, scores=scores)
    assert [r.levelname for r in caplog.records] == ["WARNING"] * is_warned_of


def test_each_score_carries_its_own_protocol():
    found = evaluated(Store(70), {"": Store(80), "_test": Store(66)})
    common = {
        "feature_network": "pixels", "weights_sha256": "0", "resize": "none", "num_samples": 70,
    }  # fmt: skip
    assert found["inception_score_pixels"].protocol == {**common, "num_splits": 3}
    real = {"reference": {"data": "fake 80 0", "num_images": 80}}
    compared = {"images_compared": {"generated": 60, "reference": 60}}
    assert found["fid_pixels"].protocol == {**common, **real}
    options = {"num_subsets": 4, "subset_size": 50}
    assert found["kid_pixels"].protocol == {**common, **real, **compared, **options}
    options = {"num_neighbours": 5}
    assert found["recall_pixels"].protocol == {**common, **real, **compared, **options}
    assert found["fid_test_pixels"].protocol["reference"] == {
        "data": "fake 66 0", "num_images": 66,
    }  # fmt: skip
    deviates = {name for name, score in found.items() if score.std is not None}
    assert deviates == {"inception_score_pixels", "kid_pixels", "kid_test_pixels"}


def test_evaluator_computes_only_the_requested_scores():
    assert set(evaluated(Store(70), {"": Store(80)}, scores=["kid"])) == {"kid_pixels"}
    assert set(evaluated(Store(70), {}, scores=["inception_score"])) == {"inception_score_pixels"}


def test_evaluator_scores_real_images_better_than_noise():
    real, noise = evaluated(Store(70, 1), {"": Store(80, 2)}), Store(70, 1)
    # Black or white pixels are far from the content of a Store.
    coins = torch.Generator().manual_seed(0)
    noise.images = 255 * torch.randint(0, 2, noise.images.shape, generator=coins).to(torch.uint8)
    noisy = evaluated(noise, {"": Store(80, 2)})
    for name in ("fid_pixels", "kid_pixels"):
        assert real[name].value < noisy[name].value
    assert real["precision_pixels"].value > noisy["precision_pixels"].value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": ["fad"]}, "choose from fid, inception_score, kid, modes, prdc"),
        ({"scores": []}, "choose from"),
        ({"num_splits": 0}, "metrics.num_splits=0: must be 1 or more"),
        ({"max_features": 10}, "metrics.max_features=10: kid needs 50 images or more"),
    ],
)
def test_evaluator_refuses_scores_that_cannot_be_computed(changes, message):
    with pytest.raises(UserError, match=message):
        Evaluator(features=PixelFeatures(), **{**OPTIONS, **changes})


@pytest.mark.parametrize(
    ("score", "num_images", "needed"),
    [("fid", 1, 2), ("inception_score", 2, 3), ("kid", 49, 50), ("prdc", 5, 6)],
)
def test_evaluator_refuses_too_few_images_and_names_the_number_needed(score, num_images, needed):
    evaluator = Evaluator(features=PixelFeatures(), **{**OPTIONS, "scores": [score]})
    with pytest.raises(UserError, match=f"here: {score} needs {needed} images or more"):
        evaluator.check(num_images, "here")
    evaluator.check(needed, "here")


@pytest.mark.parametrize("suffix", ["ink", "2", None])
def test_evaluator_refuses_a_suffix_without_an_underscore(monkeypatch, suffix):
    monkeypatch.setattr(PixelFeatures, "suffix", suffix)
    with pytest.raises(UserError, match=r"PixelFeatures .*\n.*must begin with an underscore"):
        Evaluator(features=PixelFeatures(), **OPTIONS)


@pytest.mark.parametrize("suffix", ["", "_ink", "_"])
def test_evaluator_accepts_an_empty_suffix_and_an_underscore(monkeypatch, suffix):
    monkeypatch.setattr(PixelFeatures, "suffix", suffix)
    assert Evaluator(features=PixelFeatures(), **OPTIONS)


@pytest.mark.parametrize("num", [2, 40])
def test_fid_of_few_images_decomposes_no_covariance(monkeypatch, num):
    """The covariance of two images has rank 1, and LAPACK's eigenvalues may not converge."""
    sets = (Store(num, 1), {"": Store(num, 2)}, AnySizeFeatures())
    alone = evaluated(*sets, scores=["fid"])["fid_any"]
    monkeypatch.setattr(torch.linalg, "eigh", None)
    found = evaluated(*sets, scores=["fid", "kid"], kid_subset_size="auto")
    assert found["fid_any"].value == pytest.approx(alone.value, rel=1e-9)
    assert found["kid_any"].value == found["kid_any"].value, "not nan"
