"""Mode coverage compared with closed forms."""

import math

import pytest
import torch
from torch.nn.functional import one_hot

from limner.metrics.evaluator import Evaluator
from limner.metrics.modes import ModeCounts, mode_coverage
from support.fakes import PixelFeatures, Store


def test_mode_coverage_of_even_counts_is_complete():
    assert mode_coverage(torch.full((1000,), 26)) == {
        "modes": 1000, "mode_kl": pytest.approx(0, abs=1e-12),
    }  # fmt: skip


def test_mode_coverage_of_one_mode_is_the_logarithm_of_the_number_of_modes():
    counts = torch.zeros(1000)
    counts[3] = 26_000
    assert mode_coverage(counts) == {"modes": 1, "mode_kl": pytest.approx(math.log(1000))}


def test_mode_kl_agrees_with_torch():
    counts = torch.tensor([5, 0, 1, 4, 10])
    uniform = torch.distributions.Categorical(torch.ones(5).double())
    found = torch.distributions.Categorical(counts.double())
    expected = torch.distributions.kl_divergence(found, uniform).item()
    assert mode_coverage(counts) == {"modes": 4, "mode_kl": pytest.approx(expected)}


def test_mode_kl_of_a_finite_sample_of_the_uniform_distribution_is_known():
    """The docstring states (K - 1) / (2 N)."""
    counts = torch.randint(1000, (26_000,)).bincount(minlength=1000)
    assert mode_coverage(counts)["mode_kl"] == pytest.approx(999 / 52_000, rel=0.2)


def test_mode_counts_count_the_largest_logit_of_each_image():
    classes = torch.tensor([4, 4, 0, 2, 4])
    counts = ModeCounts(num_classes=6)
    for part in (classes[:2], classes[2:]):
        counts.update(one_hot(part, 6) + 0.1 * torch.rand(len(part), 6))
    assert counts.compute().tolist() == [1, 0, 1, 0, 3, 0]


def test_evaluator_counts_the_modes_of_samples_and_of_real_images():
    store, cpu = Store(120), torch.device("cpu")
    evaluator = Evaluator(
        features=PixelFeatures(), scores=["modes"], batch_size=32, max_features=1000,
        num_splits=3, kid_num_subsets=4, kid_subset_size=20, num_neighbours=5,
    )  # fmt: skip
    references = {
        ending: evaluator.reference(
            store, torch.arange(120), about={"split": ending}, device=cpu, half_size=50
        )
        for ending in ("", "_test", "")  # the last reads the cache
    }
    alike = store.images[:1].expand(70, -1, -1, -1)
    found = evaluator.score(
        lambda start, stop: alike[start:stop], 70, references=references, device=cpu
    )
    num_modes = PixelFeatures().num_logits
    assert found["modes_pixels"].value == found["modes_test_pixels"].value == 1
    assert found["mode_kl_pixels"].value == pytest.approx(math.log(num_modes))
    assert found["modes_pixels"].floor > 1
    assert found["mode_kl_pixels"].floor < math.log(num_modes)
    assert found["modes_pixels"].protocol["num_modes"] == num_modes
