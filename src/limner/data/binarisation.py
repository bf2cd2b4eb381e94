"""Images of black and white values, drawn from those of grey ones: P(255) = x / 255.

    dynamic    a fresh draw each time that an image is trained on, Salakhutdinov and Murray (2008)
    static     one draw for each image of a data set, as in Larochelle and Murray (2011)

Likelihoods under the two are of different data and do not compare. Validation and test images have
one fixed draw under both. That of image i is a function of i and `data.split_seed` alone, so runs
compare; it is not the draw whose files are passed around as "binarized MNIST".
"""

__all__ = ["Binarisation", "BinarisedStore", "Coins"]

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from limner.data.store import Store
from limner.randomness import seed_for

Binarisation = Literal["dynamic", "static"]


class Coins:
    """A fresh draw: an augmentation that takes a random number for each value of an image.

    Args:
        image_shape: (C, H, W).
    """

    def __init__(self, image_shape: Sequence[int]) -> None:
        self.num_draws = math.prod(image_shape)

    def __call__(self, images: Tensor, *, uniform: Tensor) -> Tensor:
        """uint8 images (B, C, H, W) of 0 and 255, by `uniform` (B, num_draws) in [0, 1)."""
        return (uniform.view(images.shape) * 255 < images).to(torch.uint8) * 255


class BinarisedStore:
    """The images of a store, each in its one draw.

    Args:
        store: Of grey values.
        split_seed: Decides the draws,
        name: together with the name of the store.
    """

    def __init__(self, store: Store, *, split_seed: int, name: str) -> None:
        self.store = store
        self.fingerprint = f"{store.fingerprint} binarised by {split_seed}"
        self._seed = seed_for(split_seed, f"binarised {name}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)  # labels, and what else a store tells

    def __len__(self) -> int:
        return len(self.store)

    def gather(self, indices: Tensor) -> Tensor:
        images = self.store.gather(indices)
        values = torch.arange(images[0].numel(), device=images.device)
        first = indices.to(images.device)[:, None] * len(values)
        random = _hashed(first + values + self._seed).view(images.shape)
        return (random * 255 < images.long() << 24).to(torch.uint8) * 255


def _hashed(numbers: Tensor) -> Tensor:
    """24 random bits of each int64 number: Steele et al. (2014), SplitMix64's mixing function.

    https://doi.org/10.1145/2660193.2660195
    """
    x = numbers * _signed(0x9E3779B97F4A7C15)
    x = (x ^ _shifted(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shifted(x, 27)) * _signed(0x94D049BB133111EB)
    return _shifted(x, 40)


def _shifted(x: Tensor, places: int) -> Tensor:
    """To the right, with zeros from the left."""
    return (x >> places) & ((1 << (64 - places)) - 1)


def _signed(number: int) -> int:
    return number - (1 << 64)
