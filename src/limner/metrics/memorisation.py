"""Test whether samples are nearer to the training images than other real images are.

The distance of a sample to its nearest training image has no meaning by itself. It is compared
with the distance of held-out images to the same training images. Copies are nearer than held-out
images. Samples of a model that only learnt the distribution are about as near as held-out images;
Meehan et al. (2020), https://arxiv.org/abs/2004.05675.
"""

__all__ = ["Memorisation", "Nearest", "memorisation", "nearest", "neighbours_picture"]

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import scipy.stats
import torch
from PIL import Image
from torch import Tensor

LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95)
QUERIES = 1024  # at a time; does not affect the result
SMALLEST_TILE, GAP = 64, 2  # pixels


class Nearest(NamedTuple):
    """The k nearest references of Q queries, nearest first."""

    distances: Tensor
    """float64 (Q, k): Euclidean distances in the unit of the values, e.g. grey levels for
    uint8."""
    indices: Tensor
    """int64 (Q, k): positions of the references, counted from the first."""


class Memorisation(NamedTuple):
    """Distances of samples to the nearest training image, compared with held-out images."""

    copied: float
    """Share in [0, 1] of samples whose distance is below the `quantile`-quantile of the held-out
    distances; about `quantile` for a model that copies nothing."""
    quantile: float
    z: float
    """Mann-Whitney U of the samples' distances, standardised by its mean and standard deviation
    under equal distributions. Below -3 samples are too near, above 3 too far. Section 3 of the
    paper computes U for each cell of a partition; here U is computed for the whole space."""
    nearer: float
    """Probability in [0, 1] that a sample is nearer than a held-out image; ties count half."""
    quantiles: dict[str, dict[str, float]]
    """Quantiles of the distances of "samples" and "held_out": level to distance."""


def nearest(queries: Tensor, references: Iterable[Tensor], *, k: int) -> Nearest:
    """Find the exact nearest neighbours in Euclidean distance, by batches of references.

    |q - r|^2 = |q|^2 - 2 q r + |r|^2 in float64, which has no rounding error for uint8 images.
    The memory holds the queries in float64, one batch of references, and a table of distances
    between them.

    Args:
        queries: Images or features (Q, ...), on a device with float64.
        references: Batches (B, ...) of the same size, with k references or more in total.
        k: Number of neighbours per query.
    """
    queries = queries.flatten(1)
    found = [
        (q.new_empty(len(q), 0, dtype=torch.float64), q.new_empty(len(q), 0, dtype=torch.int64))
        for q in queries.split(QUERIES)
    ]
    start = 0
    for batch in references:
        r = batch.flatten(1).to(queries.device, torch.float64)
        numbers = torch.arange(start, start + len(r), device=queries.device)
        for i, part in enumerate(queries.split(QUERIES)):
            q = part.double()
            squares = q.square().sum(1, keepdim=True) - 2 * q @ r.T + r.square().sum(1)
            found[i] = _smallest(*found[i], squares, numbers.expand(len(q), -1), k=k)
        start += len(r)
    if start < k:
        raise ValueError(f"k={k} neighbours among {start} references.")
    distances = torch.cat([squares.clamp(min=0).sqrt() for squares, _ in found])
    return Nearest(distances.cpu(), torch.cat([indices for _, indices in found]).cpu())


def memorisation(samples: Tensor, held_out: Tensor, *, quantile: float) -> Memorisation:
    """Compare distances of samples and held-out images to their nearest training images.

    Args:
        samples: Distances (N,) of generated images, or the distances (N, k) of `nearest`.
        held_out: Distances of real images outside the training set to the same training images.
        quantile: Quantile in (0, 1) of the held-out distances below which a sample counts as near,
            e.g. 0.05.
    """
    a, b = (x.reshape(len(x), -1)[:, 0].double().numpy() for x in (samples, held_out))
    u = scipy.stats.mannwhitneyu(a, b).statistic
    mean, deviation = len(a) * len(b) / 2, (len(a) * len(b) * (len(a) + len(b) + 1) / 12) ** 0.5
    return Memorisation(
        copied=float((a < np.quantile(b, quantile)).mean()),
        quantile=quantile,
        z=float((u - mean) / deviation),
        nearer=float(1 - u / (len(a) * len(b))),
        quantiles={
            name: {str(level): float(np.quantile(x, level)) for level in LEVELS}
            for name, x in (("samples", a), ("held_out", b))
        },
    )


def neighbours_picture(samples: Tensor, neighbours: Tensor) -> Image.Image:
    """Draw one row per sample: the sample, a wider gap, and its neighbours, nearest first.

    Args:
        samples: Generated images, uint8 (N, C, H, W).
        neighbours: Neighbours of each sample, uint8 (N, k, C, H, W).
    """
    rows = torch.cat([samples[:, None], neighbours], 1)
    rows = rows[:, :, :3] if rows.shape[2] >= 3 else rows[:, :, :1].expand(-1, -1, 3, -1, -1)
    factor = -(-SMALLEST_TILE // max(rows.shape[3:]))
    rows = rows.repeat_interleave(factor, 3).repeat_interleave(factor, 4)
    num, columns, _, height, width = rows.shape
    gap = 5 * GAP
    size = (num * (height + GAP) + GAP, columns * (width + GAP) + GAP + gap, 3)
    canvas = np.full(size, 255, np.uint8)
    for row in range(num):
        for column in range(columns):
            top = GAP + row * (height + GAP)
            left = GAP + column * (width + GAP) + (gap if column else 0)
            tile = rows[row, column].permute(1, 2, 0).cpu().numpy()
            canvas[top : top + height, left : left + width] = tile
    return Image.fromarray(canvas)


def _smallest(
    squares: Tensor, indices: Tensor, more: Tensor, numbers: Tensor, *, k: int
) -> tuple[Tensor, Tensor]:
    """Return the k smallest of `squares` and `more` in ascending order, with their indices."""
    kept = more.topk(min(k, more.shape[1]), largest=False).indices.sort(1).values
    squares, order = torch.cat([squares, more.gather(1, kept)], 1).sort(dim=1, stable=True)
    indices = torch.cat([indices, numbers.gather(1, kept)], 1)
    return squares[:, :k], indices.gather(1, order[:, :k])
