"""Image classifier, trained on the cross-entropy."""

__all__ = ["Classifier"]

import lightning as L
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from limner.interfaces import Batch, OptimizerFactory
from limner.models.gradients import Gradients
from limner.models.lightning_internals import finish_update, report_evaluation
from limner.models.optimization import OptimizerStep, micro_batches


class Classifier(L.LightningModule):
    """Classifier of images, with a loss (cross-entropy) and an accuracy.

    Args:
        network: Network from images (B, C, H, W) in [-1, 1] to logits (B, num_classes).
        num_classes: Number of classes, at least 2.
        optimizer: Factory of the optimizer.
        gradients: Options of gradient accumulation and clipping.
    """

    batches_per_update = 1
    loss_functions = ("_losses",)

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

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer(self.network.parameters())

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, num_classes)."""
        return self.network(images)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        step = OptimizerStep(self, self.optimizers(use_pl_optimizer=False), self.gradients)
        for images, labels in micro_batches(self.gradients, batch["image"], batch["label"]):
            losses = self._losses(images, labels)
            step.backward(losses["loss"], losses)
        values = step.finish()
        return finish_update(self, values)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        losses = self._losses(batch["image"], batch["label"])
        report_evaluation(self, losses, num_images=len(batch["image"]))

    test_step = validation_step

    def _losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.network(images)
        accuracy = (logits.argmax(1) == labels).float().mean()
        return {"loss": cross_entropy(logits, labels), "accuracy": accuracy}
