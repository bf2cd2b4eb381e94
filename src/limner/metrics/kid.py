"""KID: a kernel distance between real and generated features."""

__all__ = ["kernel_distance", "subsets_for"]

from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from limner.console import Bar
from limner.metrics.feature_buffer import SHUFFLE

KID_SUBSET = 1000
"""Usual number of images in a subset of KID."""


class KernelDistance(NamedTuple):
    """Mean and standard deviation of KID over subsets."""

    mean: float
    std: float


def kernel_distance(
    generated: Tensor, real: Tensor, *, num_subsets: int, subset_size: int
) -> KernelDistance:
    """Estimate MMD^2 without bias, with the kernel (x.y / D + 1)^3, over random subsets.

    With m images of each set in a subset: sum_{i != j} (k(x_i, x_j) + k(y_i, y_j)) / (m (m - 1))
    - 2 sum_{i, j} k(x_i, y_j) / m^2. Binkowski et al. (2018), section 4 and equation 4,
    https://arxiv.org/abs/1801.01401. The subsets are the same as torch-fidelity's.

    Args:
        generated: Features of generated images, (N, D).
        real: Features of real images, (N', D).
        num_subsets: Number of subsets of each set.
        subset_size: m, at most N and N'.
    """
    random, values = np.random.RandomState(SHUFFLE), []
    with Bar("Computing KID", total=num_subsets, unit="subsets") as bar:
        for done in range(1, num_subsets + 1):
            x, y = (
                each[random.choice(len(each), subset_size, replace=False)].double()
                for each in (generated, real)
            )
            within = sum((k.sum() - k.trace()) for k in (_kernel(x, x), _kernel(y, y)))
            between = _kernel(x, y).mean()
            values.append(within / (subset_size * (subset_size - 1)) - 2 * between)
            bar.update(done)
    values = torch.stack(values)
    return KernelDistance(values.mean().item(), values.std(correction=0).item())


def subsets_for(
    sizes: tuple[int, int], *, num_subsets: int, subset_size: int | Literal["auto"]
) -> dict[str, int]:
    """Return {"num_subsets", "subset_size"} of KID, for two sets of these sizes.

    Args:
        sizes: Number of images of each set.
        num_subsets: Number of subsets that is asked for.
        subset_size: Number of images in a subset; "auto" for `KID_SUBSET`, or for all images of
            the smaller set if it has fewer. Subsets of all images of both sets are equal, so one
            is enough.
    """
    if subset_size != "auto":
        return {"num_subsets": num_subsets, "subset_size": subset_size}
    size = min(KID_SUBSET, *sizes)
    return {"num_subsets": 1 if size == max(sizes) else num_subsets, "subset_size": size}


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    k = (x @ y.T).div_(x.shape[1]).add_(1)
    return k * k * k
