"""The floor of a score compares two disjoint halves of the real images."""

import pytest
import torch

from limner.metrics.evaluator import Evaluator
from limner.metrics.floor import halves, num_compared
from support.fakes import PixelFeatures, Store

CPU = torch.device("cpu")
OPTIONS = {
    "scores": ["fid", "inception_score", "kid", "prdc"], "batch_size": 32, "max_features": 1000,
    "num_splits": 3, "kid_num_subsets": 4, "kid_subset_size": 20, "num_neighbours": 5,
}  # fmt: skip


@pytest.mark.parametrize("num_images", [1, 20, 50])
def test_halves_are_disjoint_choices_of_the_same_size_every_time(num_images):
    indices = torch.arange(100, 201)
    first, second = halves(indices, num_images)
    assert len(first) == len(second) == num_images
    assert set(first.tolist()) | set(second.tolist()) <= set(indices.tolist())
    assert not set(first.tolist()) & set(second.tolist())
    assert all(map(torch.equal, halves(indices, num_images), (first, second)))


def test_halves_mix_images_that_are_sorted_by_class():
    first, _ = halves(torch.arange(1000), 500)
    assert 200 < (first < 500).sum() < 300


def test_number_of_samples_is_at_most_half_of_the_smallest_split():
    assert num_compared(100, [1000, 400]) == 100
    assert num_compared(1000, [1000, 401]) == 200


def reference(store, half_size=None, **changes):
    evaluator = Evaluator(features=PixelFeatures(), **{**OPTIONS, **changes})
    about = {"data": store.fingerprint}
    found = evaluator.reference(
        store, torch.arange(len(store)), about=about, device=CPU, half_size=half_size
    )
    return evaluator, found


def test_every_score_of_a_comparison_has_the_floor_that_real_images_get():
    """The second half, scored as samples are, gets the floor as its score."""
    store = Store(120)
    evaluator, found = reference(store, half_size=50)
    _, second = halves(torch.arange(120), 50)
    scores = evaluator.score(
        lambda start, stop: store.images[second[start:stop]], 50, references={"": found},
        device=CPU,
    )  # fmt: skip
    names = ("fid", "kid", "precision", "recall", "density", "coverage")
    for name in names:
        score = scores[f"{name}_pixels"]
        assert score.floor == pytest.approx(score.value)
        assert score.protocol["reference"]["num_images"] == 50
        assert score.protocol["reference"]["half"] == "first of two"
    assert scores["inception_score_pixels"].floor is None
    assert scores["fid_pixels"].value > 0


def test_reference_without_halves_has_no_floor_and_the_protocol_of_before():
    _, found = reference(Store(60))
    assert dict(found.floor) == {}
    assert found.about == {"data": "fake 60 0", "num_images": 60}


def test_automatic_subset_of_kid_takes_all_images_of_small_sets():
    evaluator, found = reference(Store(60), half_size=30, kid_subset_size="auto")
    kid = evaluator.score(
        lambda start, stop: Store(30, 1).images[start:stop], 30, references={"": found},
        device=CPU,
    )["kid_pixels"]  # fmt: skip
    assert (kid.protocol["num_subsets"], kid.protocol["subset_size"]) == (1, 30)
    assert kid.std is None
