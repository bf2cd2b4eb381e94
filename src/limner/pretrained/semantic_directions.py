"""Directions of styles that change an image most, in closed form.

Shen and Zhou (2021), SeFa, section 3.2, https://arxiv.org/abs/2007.06600. A layer reads a style w
by A w + b, so a step of length d along n changes what it reads by d A n. The directions are the
eigenvectors of A^T A with the largest eigenvalues |A n|^2. A has the rows of all layers, each
divided by its length. No image is drawn, and nothing is trained.
"""

__all__ = ["semantic_directions"]

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize


def semantic_directions(weights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return all directions, the strongest first, and the share of each in the sum of eigenvalues.

    The sign of a direction is arbitrary; here its largest number is above 0.

    Args:
        weights: Weight (channels, style_dim) of each affine layer A.

    Returns:
        Directions (style_dim, style_dim), orthonormal rows; and shares (style_dim,), whose sum is
        1. Both are float64, on the CPU.
    """
    rows = normalize(torch.cat([weight.detach().cpu().double() for weight in weights]), dim=1)
    values, vectors = torch.linalg.eigh(rows.T @ rows)
    values, directions = values.flip(0).clamp(min=0), vectors.flip(1).T
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    return directions * largest.sign(), values / values.sum()
