"""Precision, recall, density and coverage: how far two sets of features overlap."""

__all__ = ["prdc"]

import torch
from torch import Tensor

ROWS = 1000  # rows of the distance matrix in memory at a time
ROUNDING = 1e-9
"""Largest relative difference of squared distances that counts as rounding, hence as equality."""


def prdc(generated: Tensor, real: Tensor, *, num_neighbours: int) -> dict[str, float]:
    """Return the four scores, by balls around each point up to its k-th neighbour in its set.

    precision: share of generated points in a ball of a real point; recall: share of real points in
    a ball of a generated point; Kynkäänniemi et al. (2019), equations 1 and 2,
    https://arxiv.org/abs/1904.06991. density: mean number of (open) real balls that contain a
    generated point, divided by k; coverage: share of (open) real balls with a generated point;
    Naeem et al. (2020), equations 3 and 4, https://arxiv.org/abs/2002.09797.

    Args:
        generated: Features of generated images, (N, D).
        real: Features of real images, (N', D).
        num_neighbours: k, less than N and N'.
    """
    generated, real = generated.double(), real.double()
    real_radii = _squared_radii(real, num_neighbours)
    radii = _squared_radii(generated, num_neighbours)
    inside, balls = [], []
    nearest = torch.full_like(real_radii, torch.inf)
    covered_real = torch.zeros_like(real_radii, dtype=torch.bool)
    for points, their_radii in zip(generated.split(ROWS), radii.split(ROWS), strict=True):
        distances = _squared_distances(points, real)
        inside.append((distances <= real_radii * (1 + ROUNDING)).any(1))
        balls.append((distances < real_radii * (1 - ROUNDING)).sum(1))
        covered_real |= (distances <= their_radii[:, None] * (1 + ROUNDING)).any(0)
        nearest = torch.minimum(nearest, distances.min(0).values)
    return {
        "precision": _mean(torch.cat(inside)),
        "recall": _mean(covered_real),
        "density": _mean(torch.cat(balls)) / num_neighbours,
        "coverage": _mean(nearest < real_radii * (1 - ROUNDING)),
    }


def _squared_radii(points: Tensor, num_neighbours: int) -> Tensor:
    """Return the squared distance (N,) of each point to its k-th neighbour other than itself."""
    radii = []
    for start in range(0, len(points), ROWS):
        distances = _squared_distances(points[start : start + ROWS], points)
        rows = torch.arange(len(distances), device=points.device)
        distances[rows, rows + start] = torch.inf
        radii.append(distances.kthvalue(num_neighbours, dim=1).values)
    return torch.cat(radii)


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return squared distances (N, N'), set to exactly 0 if only rounding is left."""
    lengths = x.square().sum(1)[:, None] + y.square().sum(1)
    distances = torch.addmm(lengths, x, y.T, alpha=-2)
    return distances.masked_fill_(distances < 1e-12 * lengths, 0)


def _mean(values: Tensor) -> float:
    return values.double().mean().item()
