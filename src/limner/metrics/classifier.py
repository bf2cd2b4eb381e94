"""Features of a small classifier, trained on the data set's own labels in seconds.

For data on which Inception means little (digits), or where its weights cannot be had. Scores by
these features compare between runs on the same data with the same classifier only, so they carry
another name (`fid_classifier`), the classifier's hash and its accuracy.
"""

__all__ = ["ClassifierFeatures"]

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from limner.cache import cached_folder
from limner.console import Bar
from limner.errors import UserError
from limner.interfaces import Features, ImageStore, RealImages
from limner.metrics.training import accuracy, fit_classifier
from limner.metrics.weights import weights_hash
from limner.pixels import to_float

log = logging.getLogger(__name__)

FORMAT = 1
MAX_EPOCHS = 200
"""Passes over the training images, at most: more teach a small classifier nothing."""
MIN_UPDATES = 50
"""Length of the training, at least, where the config asks for as many."""


class ClassifierFeatures:
    """The last hidden layer and the logits of a classifier of this data set.

    It is trained once for each data set, size and setting, and kept in the cache: Adam with a
    learning rate that falls linearly to 0, on the reference's training images. On few images the
    training is shorter than `num_updates`: `MAX_EPOCHS` passes over them, and `MIN_UPDATES` at
    least.

    Args:
        network: Images in [-1, 1] to logits, with a method `features`, a size `num_features` and
            a last layer `head`.
        num_updates: Length of the training, at most.
        batch_size: Images in an update.
        learning_rate: At the start.
        seed: Of the initial weights and the order of the images.
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
        if real.num_classes < 2:
            raise UserError(
                f"metrics=classifier needs labels, and data={real.name} has none.\n"
                "Choose metrics=inception or metrics=none."
            )
        train, test = real.reference("train"), _held_out(real)
        shapes = [[name, list(p.shape)] for name, p in self._network.state_dict().items()]
        num_updates = self._num_updates(len(train[1]))
        setting = [num_updates, self.batch_size, self.learning_rate, self.seed]
        key = [FORMAT, train[0].fingerprint, train[1].sum().item(), str(self._network), shapes]
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
        """Moves the network."""
        self._network.to(device)
        return self

    def __call__(self, images: Tensor) -> Features:
        with torch.no_grad():
            features = self._network.features(to_float(images))
            return Features(features, self._network.head(features))

    def protocol(self) -> dict[str, Any]:
        return {
            "feature_network": f"classifier of the data's labels, {self.num_features} features",
            "weights_sha256": self._hash,
            "classifier_accuracy": round(self._accuracy, 4),
            "resize": "none",
        }

    def _num_updates(self, num_images: int) -> int:
        """Return the length of the training on so many images."""
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
    """Test images if there are any, else validation images, else those trained on."""
    found = [real.originals(name) for name in ("test", "validation", "train")]
    return next(split for split in found if len(split[1]))
