"""FID: the Fréchet distance between two Gaussians, fitted to real and to generated features."""

__all__ = ["FeatureMoments", "FewImages", "Moments", "distance_of_few", "frechet_distance"]

import logging
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

log = logging.getLogger(__name__)

SINGULAR = 1e-12
"""Smallest variance of a direction, as a share of the largest variance; a smaller variance counts
as 0."""


class FeatureMoments(NamedTuple):
    """Mean and covariance of features."""

    mean: Tensor
    """float64 (D,)."""
    covariance: Tensor
    """float64 (D, D), unbiased."""


class Moments(Metric):
    """Mean and covariance by running float64 sums; memory does not grow with the images.

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
        """Add features (B, D)."""
        features = features.to(self.total)
        self.count += len(features)
        self.total += features.sum(0)
        self.products.addmm_(features.T, features)

    def compute(self) -> FeatureMoments:
        """Return the mean and the unbiased covariance of all features."""
        mean = self.total / self.count
        covariance = (self.products - self.count * mean.outer(mean)) / (self.count - 1)
        return FeatureMoments(mean, covariance)


def frechet_distance(p: FeatureMoments, q: FeatureMoments) -> float:
    """Return |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)), which is 0 (to rounding) if p equals q.

    Heusel et al. (2017), equation 6, https://arxiv.org/abs/1706.08500. With C = A A^T and
    C' = B B^T, the trace of the root is the sum of the singular values of M = A^T B. These are the
    square roots of the eigenvalues of the symmetric matrix M M^T, which are computed ten times
    faster than the eigenvalues of C C'.
    """
    product = _factor(p.covariance).T @ _factor(q.covariance)
    if len(product) > product.shape[1]:
        product = product.T
    root = torch.linalg.eigvalsh(product @ product.T).clamp(min=0).sqrt().sum()
    distance = (p.mean - q.mean).square().sum() - 2 * root
    return (distance + p.covariance.trace() + q.covariance.trace()).item()


def distance_of_few(x: Tensor, y: Tensor) -> float:
    """Return the same distance of two small sets of features, without a matrix (D, D).

    The centred features X of a set give C = X^T X / (N - 1), so A = X^T / (N - 1)^(1/2).
    Decompositions of covariances of a low rank take seconds, and may fail to converge.

    Args:
        x: Features (N, D), N at least 2.
        y: Features (N', D), N' at least 2.
    """
    x, y = x.double(), y.double()
    a, b = ((each - each.mean(0)) / (len(each) - 1) ** 0.5 for each in (x, y))
    root = torch.linalg.svdvals(a @ b.T).sum()
    distance = (x.mean(0) - y.mean(0)).square().sum() - 2 * root
    return (distance + a.square().sum() + b.square().sum()).item()


class FewImages:
    """Warning, given once, that a FID of fewer images than features says little.

    The covariance of N images has at most N - 1 directions, so the two covariances differ much
    even if all images come from one distribution.
    """

    def __init__(self) -> None:
        self._said = False

    def __call__(self, suffix: str, num_images: int, num_features: int) -> None:
        """Log the warning if there are too few images.

        Args:
            suffix: Suffix of the feature network in the names of scores.
            num_images: Number of images in the smaller of the two sets.
            num_features: Number of features of an image.
        """
        if num_images < num_features and not self._said:
            self._said = True
            log.warning(
                "fid%s of %s images is much too large; use kid%s, or %s images or more.",
                suffix, f"{num_images:,}", suffix, f"{num_features:,}",
            )  # fmt: skip


def _factor(covariance: Tensor) -> Tensor:
    """Return a matrix A (D, R) with A A^T = C.

    This is the Cholesky factor, or, if C has a lower rank R < D, a factor from its eigenvectors.
    """
    factor, failed = torch.linalg.cholesky_ex(covariance)
    pivots = factor.diagonal().square()
    if failed == 0 and pivots.min() > SINGULAR * covariance.diagonal().max():
        return factor
    try:
        values, vectors = torch.linalg.eigh(covariance)
    except torch.linalg.LinAlgError:  # covariances of very few images may not converge
        vectors, values, _ = torch.linalg.svd(covariance)
    kept = values > SINGULAR * values.max()
    return vectors[:, kept] * values[kept].sqrt()
