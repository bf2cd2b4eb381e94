"""The features of a fixed choice of images, in order, for scores that need the vectors."""

__all__ = ["SHUFFLE", "FeatureBuffer", "permutation"]

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

SHUFFLE = 2020
"""torch-fidelity's seed, so that shuffles and subsets, and thus numbers, are the same."""


class FeatureBuffer(Metric):
    """Features (min(N, max_features), D) of images chosen by N and the limit only.

    Each chosen image has its own row, so the features come out in the order of the images,
    whichever process saw an image and when.

    Args:
        num_images: N, how many images there will be.
        num_features: D.
        max_features: How many to keep at most; which ones, a fixed shuffle of the N decides.
    """

    full_state_update = False

    def __init__(self, *, num_images: int, num_features: int, max_features: int) -> None:
        super().__init__()
        chosen = permutation(num_images)[:max_features].sort().values
        self.places = torch.full((num_images,), -1)
        self.places[chosen] = torch.arange(len(chosen))
        self.add_state("kept", torch.zeros(len(chosen), num_features), dist_reduce_fx="sum")

    def update(self, features: Tensor, positions: Tensor) -> None:
        """Adds features (B, D) of the images at int64 `positions` (B,)."""
        places = self.places[positions]
        rows = (places >= 0).nonzero().squeeze(1)
        into = places[rows].to(self.kept.device)
        self.kept[into] = features.to(self.kept)[rows.to(self.kept.device)]

    def compute(self) -> Tensor:
        return self.kept.clone()


def permutation(num: int) -> Tensor:
    """0 .. num - 1 as int64 (num,), shuffled the same way every time."""
    return torch.from_numpy(np.random.RandomState(SHUFFLE).permutation(num))
