"""Inception score: how certain the class of each image is, and how many classes there are."""

__all__ = ["InceptionScore"]

import torch
from torch import Tensor
from torchmetrics import Metric

from limner.metrics.feature_buffer import permutation


class InceptionScore(Metric):
    """exp(E KL(p(y|x) || p(y))), averaged over `num_splits` parts of the images.

    Salimans et al. (2016), https://arxiv.org/abs/1606.03498. The images are shuffled as in
    torch-fidelity and split into parts. E KL = E sum p log p - sum q log q, where q is the mean of
    p over a part. So a few float64 sums suffice, and the order of the updates does not matter.

    Args:
        num_images: Total number of images.
        num_classes: Number K of classes.
        num_splits: Number of parts, at least 2 for a standard deviation and at most `num_images`.
    """

    full_state_update = False

    def __init__(self, *, num_images: int, num_classes: int, num_splits: int) -> None:
        super().__init__()
        parts = torch.empty(num_images, dtype=torch.int64)
        bounds = [part * num_images // num_splits for part in range(num_splits + 1)]
        order = permutation(num_images)
        for part in range(num_splits):
            parts[order[bounds[part] : bounds[part + 1]]] = part
        self.parts = parts
        zeros = {"dtype": torch.float64}
        self.add_state("count", torch.zeros(num_splits, **zeros), dist_reduce_fx="sum")
        self.add_state("negentropy", torch.zeros(num_splits, **zeros), dist_reduce_fx="sum")
        self.add_state(
            "classes", torch.zeros(num_splits, num_classes, **zeros), dist_reduce_fx="sum"
        )

    def update(self, logits: Tensor, positions: Tensor) -> None:
        """Add logits (B, K) of the images at int64 `positions` (B,)."""
        log_p = logits.to(self.classes).log_softmax(1)
        p, parts = log_p.exp(), self.parts[positions].to(self.classes.device)
        self.count.index_add_(0, parts, torch.ones_like(p[:, 0]))
        self.negentropy.index_add_(0, parts, torch.special.entr(p).sum(1).neg())
        self.classes.index_add_(0, parts, p)

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return the mean and the (biased) standard deviation over the parts."""
        q = self.classes / self.count[:, None]
        divergence = self.negentropy / self.count + torch.special.entr(q).sum(1)
        scores = divergence.exp()
        return scores.mean(), scores.std(correction=0)
