"""Whether samples are nearer to the training images than other real images are.

The distance of a sample to its nearest training image tells nothing by itself: what to expect is
the distance of held-out images to the same training images. Copies are nearer than that, and a
model that merely learnt the distribution is as near as they are; Meehan et al. (2020),
https://arxiv.org/abs/2004.05675.
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
QUERIES = 1024  # at a time; no result hangs on it
SMALLEST_TILE, GAP = 64, 2  # pixels


class Nearest(NamedTuple):
    """The k nearest references of Q queries, nearest first."""

    distances: Tensor
    """float64 (Q, k), Euclidean, in the unit of the values: grey levels for uint8 images."""
    indices: Tensor
    """int64 (Q, k), counted from the first reference."""


class Memorisation(NamedTuple):
    """Distances to the nearest training image, of samples against held-out images."""

    copied: float
    """Share in [0, 1] of samples that are nearer than `quantile` of the held-out images are:
    about `quantile` for a model that copies nothing."""
    quantile: float
    z: float
    """Mann-Whitney U of the samples' distances, less its mean and over its standard deviation
    under equal distributions: below -3 samples are too near, above 3 too far. Section 3 of the
    paper (there for each cell of a partition; here of the whole space)."""
    nearer: float
    """Probability in [0, 1] that a sample is nearer than a held-out image; ties count half."""
    quantiles: dict[str, dict[str, float]]
    """Quantiles of the distances of "samples" and "held_out", level to distance."""


def nearest(queries: Tensor, references: Iterable[Tensor], *, k: int) -> Nearest:
    """Exact nearest neighbours in the Euclidean distance, one batch of references at a time.

    |q - r|^2 = |q|^2 - 2 q r + |r|^2 in float64, which is without any rounding for uint8 images.
    Memory: the queries in float64, one batch of references, and their table of distances.

    Args:
        queries: Images or features (Q, ...), on a device that has float64.
        references: Batches (B, ...) of the same size; k or more in all.
        k: Neighbours of each query.
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
    """Compares distances to the nearest training image.

    Args:
        samples: Of generated images, (N,) or the (N, k) of `nearest`.
        held_out: Of real images that were not trained on, to the same training images.
        quantile: In (0, 1): which part of the held-out images counts as near, e.g. 0.05.
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
    """One row for each sample: it, a wider gap, and its neighbours, nearest first.

    Args:
        samples: uint8 (N, C, H, W).
        neighbours: uint8 (N, k, C, H, W).
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
    """The k smallest of both, in order."""
    kept = more.topk(min(k, more.shape[1]), largest=False).indices.sort(1).values
    squares, order = torch.cat([squares, more.gather(1, kept)], 1).sort(dim=1, stable=True)
    indices = torch.cat([indices, numbers.gather(1, kept)], 1)
    return squares[:, :k], indices.gather(1, order[:, :k])
