"""KID compared with values computed by hand and with independent computations."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import kid_features_to_metric
from torchmetrics.image.kid import poly_mmd

from limner.metrics.kid import kernel_distance, subsets_for


def test_kid_of_two_points_each_equals_the_value_by_hand():
    """KID in one dimension, where k(x, y) = (x y + 1)^3, of x = 0, 1 and y = 1, 2.

    k(0, 1) = 1 and k(1, 2) = 27; the values across are 1, 1, 8, 27. The result is 1 + 27 - 2 * 37
    / 4.
    """
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]])
    kid = kernel_distance(x, y, num_subsets=3, subset_size=2)
    assert kid.mean == pytest.approx(1 + 27 - 37 / 2, rel=1e-12)
    assert kid.std == pytest.approx(0, abs=1e-12)


def test_kid_is_unbiased():
    """For two samples of one distribution, KID averages to 0 and takes both signs."""
    values = []
    for seed in range(200):
        x, y = torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(seed))
        values.append(kernel_distance(x, y, num_subsets=1, subset_size=20).mean)
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))


def test_kid_agrees_with_torch_fidelity_for_each_subset():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(130, 16, generator=generator, dtype=torch.float64)
    y = 1.2 * torch.randn(90, 16, generator=generator, dtype=torch.float64) + 0.3
    ours = kernel_distance(x, y, num_subsets=7, subset_size=50)
    theirs = kid_features_to_metric(
        x, y, kid_subsets=7, kid_subset_size=50, rng_seed=2020, verbose=False
    )
    assert ours.mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)
    assert ours.std == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-9)


def test_kid_of_all_images_agrees_with_torchmetrics_and_numpy():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 8, generator=generator, dtype=torch.float64)
    y = torch.randn(60, 8, generator=generator, dtype=torch.float64) + 0.1
    ours = kernel_distance(x, y, num_subsets=1, subset_size=60).mean
    assert ours == pytest.approx(poly_mmd(x, y).item(), rel=1e-9)
    kernel = lambda a, b: (a.numpy() @ b.numpy().T / 8 + 1) ** 3  # noqa: E731
    off = ~np.eye(60, dtype=bool)
    expected = kernel(x, x)[off].mean() + kernel(y, y)[off].mean() - 2 * kernel(x, y).mean()
    assert ours == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("sizes", "asked", "expected"),
    [
        ((2, 2), "auto", (1, 2)),
        ((300, 300), "auto", (1, 300)),  # all subsets would be equal
        ((300, 400), "auto", (20, 300)),
        ((5000, 5000), "auto", (20, 1000)),
        ((300, 300), 50, (20, 50)),
    ],
)
def test_automatic_subsets_have_at_most_all_images(sizes, asked, expected):
    found = subsets_for(sizes, num_subsets=20, subset_size=asked)
    assert (found["num_subsets"], found["subset_size"]) == expected
