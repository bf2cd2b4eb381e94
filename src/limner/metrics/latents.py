"""What the codes of a model with latent variables hold."""

__all__ = ["active_units", "latent_means", "linear_probe"]

from collections.abc import Iterable

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from limner.interfaces import LatentVariables, label_kwargs
from limner.pixels import to_float


def latent_means(
    model: LatentVariables,
    batches: Iterable[tuple[Tensor, Tensor | None]],
    *,
    device: torch.device | str = "cpu",
) -> Tensor:
    """E_q(z|x)[z] of all images, float32 (N, D).

    Args:
        model: Whose codes.
        batches: uint8 (B, C, H, W), and labels (B,) that a conditional model is told; else None.
        device: Where the model is.
    """
    with torch.no_grad():
        codes = [
            model.encode(to_float(batch).to(device), **label_kwargs(labels))
            for batch, labels in batches
        ]
    return torch.cat([part.float().cpu() for part in codes])


def active_units(means: Tensor, *, threshold: float = 0.01) -> int:
    """The number of dimensions of z that say something about x.

    Those with Var_x(E_q(z|x)[z]) > threshold; Burda et al. (2016), section 5.1, with the
    threshold 0.01, https://arxiv.org/abs/1509.00519.

    Args:
        means: Of `latent_means`, (N, D), of two images or more.
        threshold: In units of the prior's variance.
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
    """Test accuracy in [0, 1] of a logistic regression from codes to labels.

    Each dimension is standardised first; the penalty is scikit-learn's (L2, C = 1).

    Args:
        train_means: (N, D).
        train_labels: (N,).
        test_means: (M, D).
        test_labels: (M,).
        num_iterations: At most.
    """
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=num_iterations))
    probe.fit(train_means.cpu().numpy(), train_labels.cpu().numpy())
    return float(probe.score(test_means.cpu().numpy(), test_labels.cpu().numpy()))
