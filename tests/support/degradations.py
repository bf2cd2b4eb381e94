"""Small degradations and a small model that reads an input, for tests of the data alone."""

from typing import NamedTuple

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional


class Degraded(NamedTuple):
    input: Tensor
    mask: Tensor | None


class Grain:
    """Average pooling by a factor, then noise; with holes if there is a mask."""

    def __init__(self, *, factor: int = 1, adds_mask: bool = False) -> None:
        self.factor, self.adds_mask = factor, adds_mask

    def __call__(self, images: Tensor, *, draws) -> Degraded:
        small = functional.avg_pool2d(images, self.factor)
        noisy = small + draws.normal(images, *small.shape[1:])
        if not self.adds_mask:
            return Degraded(noisy, None)
        mask = (draws.uniform(images, 1, *small.shape[2:]) < 0.5).to(images.dtype)
        return Degraded(noisy * mask, mask)

    def protocol(self) -> dict:
        return {"name": "grain", "factor": self.factor}


class Reader(L.LightningModule):
    """Model of one convolution that records what it reads."""

    reads_input = True

    def __init__(self, *, channels: int = 3, scale: int = 1) -> None:
        super().__init__()
        self.network = nn.Conv2d(channels, 3, 3, padding=1)
        self.scale = scale
        self.seen: dict[str, list] = {"train": [], "val": []}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, batch_idx):
        return self._loss("train", batch)

    def validation_step(self, batch, batch_idx):
        return self._loss("val", batch)

    def _loss(self, stage: str, batch) -> Tensor:
        self.seen[stage].append({key: value.clone() for key, value in batch.items()})
        output = functional.interpolate(self.network(batch["input"]), scale_factor=self.scale)
        return (output - batch["image"]).square().mean()


class Drawer(Reader):
    """Model that reads images only."""

    reads_input = False

    def _loss(self, stage: str, batch) -> Tensor:
        self.seen[stage].append({key: value.clone() for key, value in batch.items()})
        return (self.network(batch["image"]) - batch["image"]).square().mean()
