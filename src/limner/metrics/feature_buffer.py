"""Features of a fixed choice of images, in order, for scores that need the vectors."""

__all__ = ["SHUFFLE", "FeatureBuffer", "permutation"]

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

SHUFFLE = 2020
"""Seed of torch-fidelity, so that shuffles, subsets and scores are equal to torch-fidelity's."""


class FeatureBuffer(Metric):
    """Features (min(N, max_features), D); N and `max_features` alone determine the chosen images.

    Each chosen image has its own row. So the features are in the order of the images; it does not
    matter which process computed them, or when.

    Args:
        num_images: N, the total number of images.
        num_features: D, the size of a feature vector.
        max_features: Largest number of images to keep; a fixed shuffle of the N images chooses
            them.
    """

    full_state_update = False

    def __init__(self, *, num_images: int, num_features: int, max_features: int) -> None:
        super().__init__()
        chosen = permutation(num_images)[:max_features].sort().values
        self.places = torch.full((num_images,), -1)
        self.places[chosen] = torch.arange(len(chosen))
        self.add_state("kept", torch.zeros(len(chosen), num_features), dist_reduce_fx="sum")

    def update(self, features: Tensor, positions: Tensor) -> None:
        """Add features (B, D) of the images at int64 `positions` (B,)."""
        places = self.places[positions]
        rows = (places >= 0).nonzero().squeeze(1)
        into = places[rows].to(self.kept.device)
        self.kept[into] = features.to(self.kept)[rows.to(self.kept.device)]

    def compute(self) -> Tensor:
        """Return the features (min(N, max_features), D), in the order of the images."""
        return self.kept.clone()


def permutation(num: int) -> Tensor:
    """Return 0 .. num - 1 as int64 (num,), shuffled in the same way every time."""
    return torch.from_numpy(np.random.RandomState(SHUFFLE).permutation(num))
