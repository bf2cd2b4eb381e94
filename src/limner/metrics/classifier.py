"""Features of a small classifier, trained on the labels of the data set in seconds.

These features serve data on which Inception's features mean little (digits), and machines without
Inception's weights. Compare these scores only between runs on the same data with the same
classifier. So the scores have a name of their own (`fid_classifier`), and their protocol states
the hash of the classifier's weights and its accuracy.
"""

__all__ = ["ClassifierFeatures", "refuse_unlabelled"]

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from limner.cache import cached_folder
from limner.console import Bar
from limner.errors import UserError
from limner.files.own_code import own_code
from limner.interfaces import Features, ImageStore, RealImages
from limner.metrics.training import accuracy, fit_classifier
from limner.metrics.weights import weights_hash
from limner.pixels import to_float

log = logging.getLogger(__name__)

FORMAT = 1
MAX_EPOCHS = 200
"""Largest number of passes over the training images; a small classifier learns no more."""
MIN_UPDATES = 50
"""Smallest number of updates on few images, unless the config asks for fewer."""


def refuse_unlabelled(real: RealImages) -> None:
    """Raise UserError for data with fewer than two classes, which cannot train a classifier."""
    if real.num_classes < 2:
        raise UserError(
            f"metrics=classifier needs labels, and data={real.name} has none.\n"
            "Choose metrics=lite0, metrics=inception (downloads weights once), or metrics=none."
        )


class ClassifierFeatures:
    """The last hidden layer and the logits of a classifier of this data set.

    The classifier is trained once per data set, size and setting, and kept in the cache. It is
    trained on the reference's training images by Adam, with a learning rate that falls linearly
    to 0. On few images the training is shorter than `num_updates`: it ends after `MAX_EPOCHS`
    passes over the images, but not before `MIN_UPDATES` updates.

    Args:
        network: Network from images in [-1, 1] to logits, with a method `features`, an attribute
            `num_features` (the size of the features) and a last layer `head`.
        num_updates: Largest number of updates.
        batch_size: Number of images per update.
        learning_rate: Learning rate of the first update.
        seed: Seed of the initial weights and of the order of the images.
    """

    suffix = "_classifier"

    def __init__(
        self,
        *,
        network: nn.Module,
        num_updates: int,
        batch_size: int,
        learning_rate: float,
        seed: int,
    ) -> None:
        self._network = network.cpu()
        self.num_features, self.num_logits = network.num_features, network.head.out_features
        self.num_updates, self.batch_size = num_updates, batch_size
        self.learning_rate, self.seed = learning_rate, seed

    def prepare(self, real: RealImages) -> None:
        """Train the classifier on `real`, or load its weights from the cache."""
        refuse_unlabelled(real)
        train, test = real.reference("train"), _held_out(real)
        shapes = [[name, list(p.shape)] for name, p in self._network.state_dict().items()]
        num_updates = self._num_updates(len(train[1]))
        setting = [num_updates, self.batch_size, self.learning_rate, self.seed]
        key = [FORMAT, train[0].fingerprint, train[1].sum().item(), str(self._network), shapes]
        key += own_code(self._network)
        folder = cached_folder(
            "classifiers",
            [*key, setting],
            lambda into: self._train(train, test, into, num_updates=num_updates),
        )
        saved = torch.load(folder / "classifier.pt", weights_only=True)
        self._network.load_state_dict(saved["weights"])
        self._network.requires_grad_(False).eval()
        self._accuracy, self._hash = saved["accuracy"], weights_hash(saved["weights"])

    def to(self, device: torch.device) -> "ClassifierFeatures":
        """Move the network to a device."""
        self._network.to(device)
        return self

    def __call__(self, images: Tensor) -> Features:
        """Return the features and logits of uint8 images (B, C, H, W)."""
        with torch.no_grad():
            features = self._network.features(to_float(images))
            return Features(features, self._network.head(features))

    def protocol(self) -> dict[str, Any]:
        """Return the facts about the network that comparisons of scores need."""
        return {
            "feature_network": f"classifier of the data's labels, {self.num_features} features",
            "weights_sha256": self._hash,
            "classifier_accuracy": round(self._accuracy, 4),
            "resize": "none",
        }

    def _num_updates(self, num_images: int) -> int:
        """Return the number of updates on `num_images` images."""
        enough = max(MIN_UPDATES, -(-MAX_EPOCHS * num_images // self.batch_size))
        return min(self.num_updates, enough)

    def _train(
        self,
        train: tuple[ImageStore, Tensor],
        test: tuple[ImageStore, Tensor],
        into: Path,
        *,
        num_updates: int,
    ) -> None:
        log.info("Training the classifier whose features the scores use; it is kept in the cache.")
        with Bar("Training the classifier", total=num_updates) as bar:
            fit_classifier(
                self._network,
                train,
                num_updates=num_updates,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                seed=self.seed,
                tell=bar.update,
            )
            bar.update(num_updates)
        measured = accuracy(self._network, test)
        log.info("The classifier names %.1f %% of the held-out images correctly.", 100 * measured)
        state = {"weights": self._network.state_dict(), "accuracy": measured}
        torch.save(state, into / "classifier.pt")


def _held_out(real: RealImages) -> tuple[ImageStore, Tensor]:
    """Return the first split with images among test, validation and train."""
    found = [real.originals(name) for name in ("test", "validation", "train")]
    return next(split for split in found if len(split[1]))
