"""Precision, recall, density and coverage compared with closed forms and brute force."""

import numpy as np
import pytest
import torch

from limner.metrics import prdc as module
from limner.metrics.prdc import prdc


def brute_force(generated, real, k):
    """Compute the scores by loops over points, from the definitions of the papers."""

    def distance(a, b):
        return np.sqrt(((a - b) ** 2).sum())

    def radius(points, i):
        others = [distance(points[i], p) for j, p in enumerate(points) if j != i]
        return sorted(others)[k - 1]

    r_real = [radius(real, i) for i in range(len(real))]
    r_generated = [radius(generated, i) for i in range(len(generated))]
    d = np.array([[distance(g, r) for r in real] for g in generated])
    return {
        "precision": np.mean([(d[j] <= r_real).any() for j in range(len(generated))]),
        "recall": np.mean([(d[:, i] <= r_generated).any() for i in range(len(real))]),
        "density": np.mean([(d[j] < r_real).sum() for j in range(len(generated))]) / k,
        "coverage": np.mean([d[:, i].min() < r_real[i] for i in range(len(real))]),
    }


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("rows", [7, 1000])
def test_prdc_agrees_with_brute_force(monkeypatch, k, rows):
    monkeypatch.setattr(module, "ROWS", rows)
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(60, 4, generator=generator)
    generated = 0.7 * torch.randn(45, 4, generator=generator) + 0.5
    expected = brute_force(generated.double().numpy(), real.double().numpy(), k)
    assert 0 < expected["precision"] < 1
    assert 0 < expected["coverage"] < 1
    assert prdc(generated, real, num_neighbours=k) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shift", [0, 1000])
def test_prdc_of_a_set_with_itself_is_1(shift):
    """Each ball holds its centre and k - 1 neighbours inside its rim, so the density is 1."""
    x = torch.randn(1200, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert prdc(x + shift, x + shift, num_neighbours=5) == {
        "precision": 1, "recall": 1, "density": pytest.approx(1), "coverage": 1,
    }  # fmt: skip


def test_prdc_of_distant_sets_is_0():
    x, y = torch.randn(50, 3), torch.randn(40, 3) + 100
    assert set(prdc(x, y, num_neighbours=3).values()) == {0.0}


def test_prdc_of_one_repeated_picture_has_high_precision_and_low_coverage():
    real = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) * 1e3
    found = prdc(real[:1].repeat(100, 1), real, num_neighbours=3)
    assert found["precision"] == 1
    assert found["recall"] == 1 / 200
    assert found["coverage"] < 0.1
