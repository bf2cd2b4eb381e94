"""Mode coverage: how many classes the images show, and how evenly.

Each image counts for the class with its largest logit. With n_k of N images in class k of K:

    modes   = number of k with n_k > 0
    mode_kl = sum_k p_k log(p_k K),  p_k = n_k / N     (KL from the uniform distribution, in nats)

Lin et al. (2018), section 4.2, https://arxiv.org/abs/1712.04086, with a classifier of stacked
digits and N = 26,000. N images of the uniform distribution itself have a KL of about
(K - 1) / (2 N).
"""

__all__ = ["ModeCounts", "mode_coverage"]

import torch
from torch import Tensor
from torchmetrics import Metric


class ModeCounts(Metric):
    """Number of images of each class, float64 (K,).

    Args:
        num_classes: Number K of classes.
    """

    full_state_update = False

    def __init__(self, *, num_classes: int) -> None:
        super().__init__()
        zeros = torch.zeros(num_classes, dtype=torch.float64)
        self.add_state("counts", zeros, dist_reduce_fx="sum")

    def update(self, logits: Tensor) -> None:
        """Add images with the class logits (B, K)."""
        self.counts += logits.argmax(1).bincount(minlength=len(self.counts)).to(self.counts)

    def compute(self) -> Tensor:
        """Return the counts."""
        return self.counts.clone()


def mode_coverage(counts: Tensor) -> dict[str, float]:
    """Return `modes` and `mode_kl` of the counts (K,) of one or more images."""
    counts = counts.double()
    p = counts / counts.sum()
    kl = torch.special.xlogy(p, p * len(p)).sum()
    return {"modes": float((counts > 0).sum()), "mode_kl": kl.item()}
