"""FID: the Fréchet distance between Gaussians fitted to real and to generated features."""

__all__ = ["FeatureMoments", "Moments", "frechet_distance"]

from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

SINGULAR = 1e-12
"""Directions whose variance is a smaller share than this of the largest count as none."""


class FeatureMoments(NamedTuple):
    """Mean and covariance of features."""

    mean: Tensor
    """float64 (D,)."""
    covariance: Tensor
    """float64 (D, D), unbiased."""


class Moments(Metric):
    """Mean and covariance by running sums in float64, in a memory that no number of images fills.

    Args:
        num_features: D, the size of a feature vector.
    """

    full_state_update = False

    def __init__(self, *, num_features: int) -> None:
        super().__init__()
        zeros = {"dtype": torch.float64}
        self.add_state("count", torch.zeros((), **zeros), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(num_features, **zeros), dist_reduce_fx="sum")
        products = torch.zeros(num_features, num_features, **zeros)
        self.add_state("products", products, dist_reduce_fx="sum")

    def update(self, features: Tensor) -> None:
        """Adds features (B, D)."""
        features = features.to(self.total)
        self.count += len(features)
        self.total += features.sum(0)
        self.products.addmm_(features.T, features)

    def compute(self) -> FeatureMoments:
        mean = self.total / self.count
        covariance = (self.products - self.count * mean.outer(mean)) / (self.count - 1)
        return FeatureMoments(mean, covariance)


def frechet_distance(p: FeatureMoments, q: FeatureMoments) -> float:
    """|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)); 0 for equal Gaussians, but for rounding.

    Heusel et al. (2017), equation 6, https://arxiv.org/abs/1706.08500. With C = A A^T and
    C' = B B^T, the trace of the root is the sum of the singular values of M = A^T B: the roots of
    the eigenvalues of the symmetric M M^T, which are found ten times faster than those of C C'.
    """
    product = _factor(p.covariance).T @ _factor(q.covariance)
    if len(product) > product.shape[1]:
        product = product.T
    root = torch.linalg.eigvalsh(product @ product.T).clamp(min=0).sqrt().sum()
    distance = (p.mean - q.mean).square().sum() - 2 * root
    return (distance + p.covariance.trace() + q.covariance.trace()).item()


def _factor(covariance: Tensor) -> Tensor:
    """A (D, R) with A A^T = C: Cholesky's, or one of few columns where C has a lower rank R."""
    factor, failed = torch.linalg.cholesky_ex(covariance)
    pivots = factor.diagonal().square()
    if failed == 0 and pivots.min() > SINGULAR * covariance.diagonal().max():
        return factor
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > SINGULAR * values.max()
    return vectors[:, kept] * values[kept].sqrt()
