"""Information in the latent codes of a model: active units, and a linear probe of labels."""

__all__ = ["active_units", "latent_means", "linear_probe"]

from collections.abc import Iterable

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from limner.interfaces import label_kwargs
from limner.losses.bounds import LatentVariables
from limner.pixels import to_float


def latent_means(
    model: LatentVariables,
    batches: Iterable[tuple[Tensor, Tensor | None]],
    *,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return E_q(z|x)[z] of all images, float32 (N, D).

    Args:
        model: Model with latent variables.
        batches: uint8 images (B, C, H, W), and labels (B,) for a conditional model, else None.
        device: Device of the model.
    """
    with torch.no_grad():
        codes = [
            model.encode(to_float(batch).to(device), **label_kwargs(labels))
            for batch, labels in batches
        ]
    return torch.cat([part.float().cpu() for part in codes])


def active_units(means: Tensor, *, threshold: float = 0.01) -> int:
    """Return the number of dimensions of z that depend on x.

    A dimension is active if Var_x(E_q(z|x)[z]) > threshold; Burda et al. (2016), section 5.1, with
    the threshold 0.01, https://arxiv.org/abs/1509.00519.

    Args:
        means: Result of `latent_means`, (N, D), for two images or more.
        threshold: Smallest variance of an active dimension, in units of the prior's variance.
    """
    return int((means.double().var(0) > threshold).sum())


def linear_probe(
    *,
    train_means: Tensor,
    train_labels: Tensor,
    test_means: Tensor,
    test_labels: Tensor,
    num_iterations: int = 1000,
) -> float:
    """Return the test accuracy in [0, 1] of a logistic regression from codes to labels.

    Each dimension is standardised first. The penalty is scikit-learn's default (L2, C = 1).

    Args:
        train_means: Codes (N, D) to train on.
        train_labels: Labels (N,) of the training codes.
        test_means: Codes (M, D) to test on.
        test_labels: Labels (M,) of the test codes.
        num_iterations: Largest number of iterations.
    """
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=num_iterations))
    probe.fit(train_means.cpu().numpy(), train_labels.cpu().numpy())
    return float(probe.score(test_means.cpu().numpy(), test_labels.cpu().numpy()))
