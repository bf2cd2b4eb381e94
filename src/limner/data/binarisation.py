"""Images of black and white values, drawn at random from grey values x: P(255) = x / 255.

    dynamic    a new draw each time an image is trained on, Salakhutdinov and Murray (2008)
    static     one draw for each image of a data set, as in Larochelle and Murray (2011)

The two define different data, so likelihoods under them cannot be compared. Under both, validation
and test images have one fixed draw. The draw of image i depends only on i and `data.split_seed`,
so runs can be compared. It differs from the draw in the published files of "binarized MNIST".
"""

__all__ = ["Binarisation", "BinarisedStore", "Coins"]

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from limner.data.store import Store
from limner.randomness import hashed, seed_for

Binarisation = Literal["dynamic", "static"]


class Coins:
    """A new draw for each batch: an augmentation with one random number per value of an image.

    Args:
        image_shape: (C, H, W).
    """

    def __init__(self, image_shape: Sequence[int]) -> None:
        self.num_draws = math.prod(image_shape)

    def __call__(self, images: Tensor, *, uniform: Tensor) -> Tensor:
        """Draw uint8 images (B, C, H, W) of 0 and 255, by `uniform` (B, num_draws) in [0, 1)."""
        return (uniform.view(images.shape) * 255 < images).to(torch.uint8) * 255


class BinarisedStore:
    """Store with one fixed binary draw of each image of another store.

    Args:
        store: Store of grey images.
        split_seed: Seed of the draws, together with `name`.
        name: Name of the store.
    """

    def __init__(self, store: Store, *, split_seed: int, name: str) -> None:
        self.store = store
        self.fingerprint = f"{store.fingerprint} binarised by {split_seed}"
        self._seed = seed_for(split_seed, f"binarised {name}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)  # labels, device and other attributes of a store

    def __len__(self) -> int:
        return len(self.store)

    def gather(self, indices: Tensor) -> Tensor:
        """Return binary images, uint8 (B, C, H, W) of 0 and 255, at int64 `indices` (B,)."""
        images = self.store.gather(indices)
        values = torch.arange(images[0].numel(), device=images.device)
        first = indices.to(images.device)[:, None] * len(values)
        random = hashed(first + values + self._seed).view(images.shape)
        return (random * 255 < images.long() << 24).to(torch.uint8) * 255
