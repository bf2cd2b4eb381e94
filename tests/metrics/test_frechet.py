"""FID compared with closed forms and independent computations."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import _compute_fid

from limner.metrics.frechet import (
    FeatureMoments,
    FewImages,
    Moments,
    distance_of_few,
    frechet_distance,
)


def moments(features):
    made = Moments(num_features=features.shape[1])
    for part in features.split(77):
        made.update(part)
    return made.compute()


def fid(generated, real):
    return frechet_distance(moments(generated), moments(real))


def standardised(num, dim, generator):
    """Return points with mean exactly 0 and covariance exactly I."""
    x = torch.randn(num, dim, dtype=torch.float64, generator=generator)
    x = x - x.mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T


def normal(num, dim, seed, scale=1.0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(dim, dim, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    x = torch.randn(num, dim, dtype=torch.float64, generator=generator)
    return scale * x @ mix + shift


def test_frechet_distance_of_two_gaussians_equals_the_closed_form():
    """In two dimensions, tr (A B)^(1/2) = sqrt(tr AB + 2 sqrt(det AB))."""
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
    assert fid(generated, real) == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("kind", ["regular", "few images", "a feature that never varies"])
def test_frechet_distance_agrees_with_numpy_and_torch_fidelity(kind):
    """tr (C C')^(1/2) is the nuclear norm of X X'^T / sqrt((n - 1) (n' - 1)), X centred."""
    real = normal(400, 32, 1)
    generated = normal(20 if kind == "few images" else 300, 32, 2, 1.3, 0.2)
    if kind == "a feature that never varies":
        generated[:, 3], real[:, 5] = 0.5, 0.1
    ours = fid(generated, real)
    x, y = ((each - each.mean(0)).numpy() for each in (real, generated))
    x, y = x / np.sqrt(len(x) - 1), y / np.sqrt(len(y) - 1)
    means = (real.mean(0) - generated.mean(0)).square().sum().item()
    nuclear = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    expected = means + (x**2).sum() + (y**2).sum() - 2 * nuclear
    assert ours == pytest.approx(expected, rel=1e-7)
    statistics = [fid_features_to_statistics(each) for each in (generated, real)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)
    assert ours == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)


def test_frechet_distance_agrees_with_scipys_matrix_root_and_torchmetrics():
    real, generated = moments(normal(400, 16, 1)), moments(normal(300, 16, 2, 1.3, 0.2))
    covs = real.covariance.numpy(), generated.covariance.numpy()
    means = (real.mean - generated.mean).square().sum().item()
    root = scipy.linalg.sqrtm(covs[0] @ covs[1]).real
    ours = frechet_distance(generated, real)
    assert ours == pytest.approx(means + np.trace(covs[0] + covs[1] - 2 * root), rel=1e-9)
    assert ours == pytest.approx(_compute_fid(*real, *generated).item(), rel=1e-9)


def test_frechet_distance_of_a_set_from_itself_is_0():
    real = normal(300, 8, 0)
    assert fid(real, real) == pytest.approx(0, abs=1e-9)


def test_statistics_keep_their_precision_when_features_are_far_from_0():
    x = normal(500, 4, 0).float() + 100
    expected = torch.cov(x.double().T)
    assert torch.allclose(moments(x).covariance, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("size", [256, pytest.param(2048, marks=pytest.mark.slow)])
def test_frechet_distance_of_many_dimensions_needs_only_symmetric_eigenvalues(monkeypatch, size):
    """The eigenvalues of other matrices take ten times as long."""
    monkeypatch.setattr(torch.linalg, "eigvals", None)
    monkeypatch.setattr(torch.linalg, "eig", None)
    monkeypatch.setattr(scipy.linalg, "sqrtm", None)
    x = torch.randn(size + 500, size, dtype=torch.float64)
    gaussian = FeatureMoments(x.mean(0), torch.cov(x.T))
    other = FeatureMoments(gaussian.mean + 1, 4 * gaussian.covariance)
    distance = frechet_distance(gaussian, other)
    expected = size + gaussian.covariance.trace().item()  # (2 - 1)^2 tr C
    assert distance == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("num", [2, 20])
def test_distance_of_few_images_needs_no_covariance(num, monkeypatch):
    generated, real = normal(num, 32, 2, 1.3, 0.2), normal(num + 1, 32, 1)
    expected = fid(generated, real)
    monkeypatch.setattr(torch.linalg, "eigh", None)
    assert distance_of_few(generated, real) == pytest.approx(expected, rel=1e-9)
    assert distance_of_few(real, real) == pytest.approx(0, abs=1e-9 * expected)


def test_fid_of_fewer_images_than_features_is_warned_of_once(caplog):
    warn = FewImages()
    warn("_lite0", 1280, 1280)
    assert not caplog.records
    for number in (100, 200):
        warn("_lite0", number, 1280)
    (record,) = caplog.records
    assert record.getMessage() == (
        "fid_lite0 of 100 images is much too large; use kid_lite0, or 1,280 images or more."
    )


def test_frechet_distance_is_found_if_the_eigenvalues_do_not_converge(monkeypatch):
    """LAPACK's eigh may give up on the covariance of two images, which has rank 1."""
    generated, real = normal(2, 32, 2, 1.3, 0.2), normal(2, 32, 1)
    expected = fid(generated, real)

    def fails(_):
        raise torch.linalg.LinAlgError("The algorithm failed to converge.")

    monkeypatch.setattr(torch.linalg, "eigh", fails)
    assert fid(generated, real) == pytest.approx(expected, rel=1e-9)
