"""Warnings of collapsed GANs: the discriminator is always right, or all samples look alike."""

__all__ = ["CollapseWarning"]

import logging
from collections.abc import Mapping

import lightning as L
import torch
from torch import Tensor

from limner.callbacks.validation_images import spread
from limner.interfaces import Samples
from limner.losses.diagnostics import pairwise_distance
from limner.pixels import to_float
from limner.randomness import generator_for

log = logging.getLogger(__name__)

NUM_IMAGES = 64  # images whose distances are compared


class CollapseWarning(L.Callback):
    """Callback that warns at the end of an epoch if a GAN has collapsed.

    The callback does nothing for other models. It repeats a warning only if the model has
    recovered in between.

    Args:
        max_accuracy: Accuracy of D over an epoch, in (0.5, 1], above which to warn. A generator
            learns little from a discriminator that is always right.
        min_distance: Distance between samples, as a fraction in [0, 1) of the distance between
            training images, below which to warn.
        first_update: First update at which to warn, since the samples of an untrained generator
            look alike too.
    """

    def __init__(self, *, max_accuracy: float, min_distance: float, first_update: int) -> None:
        if not 0.5 < max_accuracy <= 1 or not 0 <= min_distance < 1:
            raise ValueError(
                f"callbacks.game: max_accuracy={max_accuracy} must be in (0.5, 1], and "
                f"min_distance={min_distance} in [0, 1)."
            )
        self.max_accuracy, self.min_distance = max_accuracy, min_distance
        self.first_update = first_update
        self._accuracies: list[Tensor] = []
        self._real_distance: float | None = None
        self._said: set[str] = set()

    def on_train_epoch_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._accuracies = []

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        model: L.LightningModule,
        outputs: Mapping[str, Tensor],
        *args: object,
    ) -> None:
        if "accuracy_fake" in outputs:
            self._accuracies.append((outputs["accuracy_real"] + outputs["accuracy_fake"]) / 2)

    def on_train_epoch_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if not self._accuracies or trainer.global_step < self.first_update:
            return
        accuracy = torch.stack(self._accuracies).mean().item()
        self._say(
            accuracy > self.max_accuracy,
            f"The discriminator is almost always right: it recognised {100 * accuracy:.1f} % of "
            "this epoch's images correctly. The usual cures: model/penalty=r1, a smaller "
            "model.discriminator_lr, network.spectral_norm=true, or model/augmentation=ada if "
            "there are few images.",
        )
        if isinstance(model, Samples) and trainer.is_global_zero:
            distance = self._distance(trainer, model)
            self._say(
                distance < self.min_distance,
                f"The samples have collapsed: they differ {100 * distance:.1f} % as much as the "
                "data. The usual cures: model/penalty=r1, another model/loss, a smaller "
                "optimizer.lr.",
            )

    def _distance(self, trainer: L.Trainer, model: Samples) -> float:
        """Return the distance between samples divided by the distance between training images."""
        if self._real_distance is None:
            store, indices = trainer.datamodule.split("train")
            images = to_float(store.gather(spread(indices, NUM_IMAGES)))
            self._real_distance = pairwise_distance(images).item()
        samples = model.sample(NUM_IMAGES, generator=generator_for(0, "game"))
        return pairwise_distance(samples).item() / max(self._real_distance, 1e-12)

    def _say(self, is_so: bool, message: str) -> None:
        kind = message.partition(":")[0]
        if is_so and kind not in self._said:
            log.warning("%s", message)
        self._said = self._said | {kind} if is_so else self._said - {kind}
