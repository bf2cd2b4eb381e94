"""Features of a classifier of single digits, for images whose channels are digits."""

__all__ = ["StackedDigitFeatures"]

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from limner.errors import UserError
from limner.interfaces import Features, ImageStore, RealImages
from limner.metrics.judges import JudgeTraining, trained_judge
from limner.metrics.weights import weights_hash
from limner.pixels import to_float

WHAT = "the classifier of digits"
NUM_TEST, BATCH = 2000, 250
"""Largest number of real images that measure the accuracy, and number of images at a time."""


class StackedDigitFeatures:
    """The features and class logits of each channel of an image, by a classifier of digits.

    An image has the features of its C channels, one behind the other. Its K^C logits belong to the
    combinations of the channels' K classes, the first channel first: log p(a, b, c | x) = sum of
    log p of each.

    The classifier is trained once on the digits of real training images, and kept in the cache.

    Args:
        network: Network from images (B, 1, H, W) in [-1, 1] to logits (B, K), with a method
            `features`, an attribute `num_features` and a last layer `head`.
        num_channels: Number C of channels.
        num_updates: Number of updates.
        batch_size: Number of images per update.
        learning_rate: Learning rate of the first update; it falls linearly to 0.
        seed: Seed of the initial weights and of the order of the images.
    """

    suffix = "_digits"

    def __init__(
        self,
        *,
        network: nn.Module,
        num_channels: int,
        num_updates: int,
        batch_size: int,
        learning_rate: float,
        seed: int,
    ) -> None:
        for name, value in (("num_updates", num_updates), ("batch_size", batch_size)):
            if value < 1:
                raise UserError(f"metrics.features.{name}={value}: must be 1 or more.")
        self._network, self.num_channels = network.cpu(), num_channels
        self.num_features = num_channels * network.num_features
        self.num_logits = network.head.out_features**num_channels
        self.training = JudgeTraining(num_updates, batch_size, learning_rate, seed)

    def prepare(self, real: RealImages) -> None:
        """Train the classifier on `real`, or load its weights from the cache; measure it.

        Raises:
            UserError: If the images do not consist of digits.
        """
        store, indices = real.reference("train")
        if not hasattr(store, "shown"):
            raise UserError(
                f"metrics=modes counts the digits of data=stacked_mnist, and data={real.name} has "
                "none:\nfor the classes of labelled data choose metrics=classifier "
                "metrics.scores=[modes,fid]."
            )

        def step(batch: Tensor) -> tuple[Tensor, Tensor]:
            shown = store.shown(batch).flatten()
            logits = self._network(_channels(to_float(store.gather(batch))))
            return cross_entropy(logits, shown), logits.argmax(1) == shown

        trained_judge(self._network, step, store, indices, self.training, what=WHAT, facts=[])
        self._accuracy = self._measure(*_held_out(real))

    def to(self, device: torch.device) -> "StackedDigitFeatures":
        """Move the network to a device."""
        self._network.to(device)
        return self

    def __call__(self, images: Tensor) -> Features:
        """Return the features and logits of uint8 images (B, C, H, W)."""
        with torch.no_grad():
            features = self._network.features(_channels(to_float(images)))
            log_p = self._network.head(features).log_softmax(1)
        each = log_p.view(len(images), self.num_channels, -1).unbind(1)
        logits = each[0]
        for following in each[1:]:
            logits = (logits[:, :, None] + following[:, None]).flatten(1)
        return Features(features.view(len(images), -1), logits)

    def protocol(self) -> dict[str, Any]:
        """Return the facts about the network that comparisons of scores need."""
        return {
            "feature_network": f"classifier of each channel's digit, {self.num_features} features",
            "weights_sha256": weights_hash(self._network.state_dict()),
            "classifier_accuracy": round(self._accuracy, 4),
            "resize": "none",
        }

    def _measure(self, store: ImageStore, indices: Tensor) -> float:
        """Return the share of images whose digits are all named correctly."""
        chosen = indices[:: math.ceil(len(indices) / NUM_TEST)]
        hits = 0
        for part in chosen.split(BATCH):
            logits = self(store.gather(part)).logits
            digits = store.shown(part)
            classes = round(self.num_logits ** (1 / self.num_channels))
            places = [classes**i for i in reversed(range(self.num_channels))]
            right = (digits * torch.tensor(places)).sum(1)
            hits += (logits.argmax(1) == right).sum().item()
        return hits / len(chosen)


def _channels(images: Tensor) -> Tensor:
    """Return the channels of images (B, C, H, W) as images (B C, 1, H, W)."""
    return images.flatten(0, 1)[:, None]


def _held_out(real: RealImages) -> tuple[ImageStore, Tensor]:
    """Return the first split with images among test, validation and train."""
    found = [real.originals(name) for name in ("test", "validation", "train")]
    return next(split for split in found if len(split[1]))
