"""Image classifier, trained on the cross-entropy.

Validation also measures the calibration: the expected calibration error of Guo et al. (2017),
equation 3, https://arxiv.org/abs/1706.04599, with 15 bins.
"""

__all__ = ["Classifier"]

import lightning as L
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassConfusionMatrix,
)

from limner.interfaces import Batch, OptimizerFactory
from limner.models.gradients import Gradients
from limner.models.lightning_internals import finish_update, report_evaluation
from limner.models.optimization import OptimizerStep, micro_batches
from limner.models.parameter_groups import grouped_optimizer


class Classifier(L.LightningModule):
    """Classifier of images, with a loss (cross-entropy) and an accuracy.

    Validation reports `val/loss`, `val/accuracy`, `val/calibration_error` in [0, 1] and, for 5
    classes or more, `val/top5_accuracy`.

    Args:
        network: Network from images (B, C, H, W) in [-1, 1] to logits (B, num_classes). It may
            have `parameter_groups`, see `limner.models.parameter_groups.grouped_optimizer`. If
            batches have features of the network, it needs a method `logits` that takes them.
        num_classes: Number of classes, at least 2.
        optimizer: Factory of the optimizer.
        gradients: Options of gradient accumulation and clipping.
    """

    batches_per_update = 1
    loss_functions = ("_losses",)
    confusion_matrix: Tensor | None = None
    """Number of images of each true class (row) and predicted class (column) in the latest
    validation, int64 (num_classes, num_classes); None before the first."""

    def __init__(
        self,
        *,
        network: nn.Module,
        num_classes: int,
        optimizer: OptimizerFactory,
        gradients: Gradients,
    ) -> None:
        if num_classes < 2:
            raise ValueError(
                f"model=classifier needs labels of two classes or more; data.num_classes is "
                f"{num_classes}."
            )
        super().__init__()
        self.automatic_optimization = False
        self.network, self.optimizer, self.gradients = network, optimizer, gradients
        self.num_outputs = num_classes

    def configure_optimizers(self) -> Optimizer:
        return grouped_optimizer(self.optimizer, self.network)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, num_classes)."""
        return self.network(images)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        step = OptimizerStep(self, self.optimizers(use_pl_optimizer=False), self.gradients)
        columns = batch["image"], batch["label"], batch.get("features")
        for parts in micro_batches(self.gradients, *columns):
            losses = self._losses(*parts)
            step.backward(losses["loss"], losses)
        values = step.finish()
        return finish_update(self, values)

    def on_validation_epoch_start(self) -> None:
        self._measures = _measures(self.num_outputs).to(self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        logits = self._logits(batch["image"], batch.get("features"))
        losses = _losses(logits, batch["label"])
        self._measures.update(logits.float().softmax(1), batch["label"])
        report_evaluation(self, losses, num_images=len(batch["image"]))

    def on_validation_epoch_end(self) -> None:
        values = self._measures.compute()  # of the images of all processes
        self.confusion_matrix = values.pop("confusion_matrix")
        report_evaluation(self, values, num_images=1)

    test_step = validation_step
    on_test_epoch_start = on_validation_epoch_start
    on_test_epoch_end = on_validation_epoch_end

    @property
    def frozen_network(self) -> nn.Module | None:
        """The network, if batches may have its features; None if training changes them."""
        return self.network if getattr(self.network, "has_fixed_features", False) else None

    def _logits(self, images: Tensor, features: Tensor | None) -> Tensor:
        return self.network(images) if features is None else self.network.logits(features)

    def _losses(
        self, images: Tensor, labels: Tensor, features: Tensor | None
    ) -> dict[str, Tensor]:
        return _losses(self._logits(images, features), labels)


def _losses(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    accuracy = (logits.argmax(1) == labels).float().mean()
    return {"loss": cross_entropy(logits, labels), "accuracy": accuracy}


def _measures(num_classes: int) -> MetricCollection:
    """Return the measures that are no means of batches; they are part of no checkpoint."""
    options = {"num_classes": num_classes, "validate_args": False}
    found = {
        "calibration_error": MulticlassCalibrationError(n_bins=15, norm="l1", **options),
        "confusion_matrix": MulticlassConfusionMatrix(**options),
    }
    if num_classes >= 5:
        found["top5_accuracy"] = MulticlassAccuracy(top_k=5, average="micro", **options)
    return MetricCollection(found, compute_groups=False)
