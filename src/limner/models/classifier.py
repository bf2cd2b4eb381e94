"""An image classifier: cross-entropy and accuracy."""

__all__ = ["Classifier"]

import lightning as L
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from limner.interfaces import Batch, OptimizerFactory


class Classifier(L.LightningModule):
    """Trains a network to name the class of an image.

    Args:
        network: Images (B, C, H, W) in [-1, 1] to logits (B, num_classes).
        num_classes: At least 2.
        optimizer: Makes the optimizer.
    """

    batches_per_update = 1

    def __init__(
        self, *, network: nn.Module, num_classes: int, optimizer: OptimizerFactory
    ) -> None:
        if num_classes < 2:
            raise ValueError(
                f"model=classifier needs labels of two classes or more; data.num_classes is "
                f"{num_classes}."
            )
        super().__init__()
        self.network, self.optimizer = network, optimizer

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer(self.network.parameters())

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, num_classes)."""
        return self.network(images)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        return self._losses(batch)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.log_dict(
            {f"val/{name}": value for name, value in self._losses(batch).items()},
            batch_size=len(batch["image"]), sync_dist=True, logger=False,
        )  # fmt: skip

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        logits = self.network(batch["image"])
        accuracy = (logits.argmax(1) == batch["label"]).float().mean()
        return {"loss": cross_entropy(logits, batch["label"]), "accuracy": accuracy}
