"""Scores against closed forms and independent computations."""

import numpy as np
import pytest
import scipy.linalg
import torch

from limner.interfaces import Features
from limner.metrics.distribution import DistributionScores


def scored(real, generated, logits=None, num_splits=2):
    scores = DistributionScores(
        num_features=real.shape[1], num_splits=num_splits, device=torch.device("cpu")
    )
    logits = torch.zeros(len(generated), 3) if logits is None else logits
    for part in real.split(100):
        scores.add_real(Features(part, part))
    for part, logit in zip(generated.split(100), logits.split(100), strict=True):
        scores.add_generated(Features(part, logit))
    return scores.compute()


def standardised(num, dim, generator):
    """Points of exactly mean 0 and covariance I."""
    x = torch.randn(num, dim, dtype=torch.float64, generator=generator)
    x = x - x.mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T


def test_fid_of_two_gaussians_is_the_closed_form():
    """In two dimensions: tr (A B)^(1/2) = sqrt(tr AB + 2 sqrt(det AB))."""
    generator = torch.Generator().manual_seed(0)
    a = torch.tensor([[2.0, 0.0], [1.0, 0.5]], dtype=torch.float64)
    b = torch.tensor([[0.7, 0.0], [-0.3, 1.5]], dtype=torch.float64)
    shift = torch.tensor([3.0, -1.0], dtype=torch.float64)
    real = standardised(500, 2, generator) @ a.T
    generated = standardised(700, 2, generator) @ b.T + shift
    cov_a, cov_b = a @ a.T, b @ b.T
    product = cov_a @ cov_b
    root = torch.sqrt(product.trace() + 2 * torch.sqrt(torch.det(product)))
    expected = shift.square().sum() + cov_a.trace() + cov_b.trace() - 2 * root
    assert scored(real, generated)["fid"][0] == pytest.approx(expected.item(), rel=1e-6)


def test_fid_agrees_with_scipys_matrix_root():
    generator = torch.Generator().manual_seed(1)
    real = torch.randn(400, 16, dtype=torch.float64, generator=generator)
    generated = torch.randn(300, 16, dtype=torch.float64, generator=generator) * 1.3 + 0.2
    means = real.mean(0) - generated.mean(0)
    covs = [np.cov(x.T.numpy()) for x in (real, generated)]
    root = scipy.linalg.sqrtm(covs[0] @ covs[1]).real
    expected = (means @ means).item() + np.trace(covs[0] + covs[1] - 2 * root)
    assert scored(real, generated)["fid"][0] == pytest.approx(expected, rel=1e-6)


def test_fid_of_a_set_with_itself_is_zero():
    real = torch.randn(300, 8, dtype=torch.float64)
    assert scored(real, real)["fid"][0] == pytest.approx(0, abs=1e-6)


def test_inception_score_of_certain_and_even_classes_is_their_number():
    labels = torch.arange(1000) % 5
    logits = 1000.0 * torch.nn.functional.one_hot(labels, 5).float()
    mean, _ = scored(torch.randn(10, 2), torch.randn(1000, 2), logits)["inception_score"]
    assert mean == pytest.approx(5, rel=0.02)


def test_inception_score_of_one_class_is_one():
    logits = torch.zeros(100, 5)
    mean, deviation = scored(torch.randn(10, 2), torch.randn(100, 2), logits)["inception_score"]
    assert mean == pytest.approx(1)
    assert deviation == pytest.approx(0, abs=1e-6)


def test_inception_score_agrees_with_numpy():
    logits = torch.randn(600, 7, generator=torch.Generator().manual_seed(0))
    mean, _ = scored(torch.randn(10, 2), torch.randn(600, 2), logits, num_splits=1)[
        "inception_score"
    ]
    p = torch.softmax(logits.double(), 1).numpy()
    expected = np.exp((p * (np.log(p) - np.log(p.mean(0)))).sum(1).mean())
    assert mean == pytest.approx(expected, rel=1e-5)


def test_generated_images_are_forgotten_and_real_ones_kept():
    scores = DistributionScores(num_features=4, num_splits=2, device=torch.device("cpu"))
    real, logits = torch.randn(100, 4), torch.randn(50, 3)
    scores.add_real(Features(real, real))
    results = []
    for seed in (0, 1, 0):
        generated = torch.randn(50, 4, generator=torch.Generator().manual_seed(seed))
        scores.add_generated(Features(generated, logits))
        results.append(scores.compute())
    assert results[0] == results[2] != results[1]
