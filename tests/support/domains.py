"""A small model that reads two domains of pictures, for tests of the data alone."""

from functools import partial

import lightning as L
import torch
from torch import nn


class Translator(L.LightningModule):
    """Model of one convolution for each domain that records what it reads."""

    reads_domains = True

    def __init__(self, *, channels: int = 3, optimizer=None) -> None:
        super().__init__()
        self.optimizer = optimizer
        self.networks = nn.ModuleDict(
            {letter: nn.Conv2d(channels, channels, 3, padding=1) for letter in "ab"}
        )
        self.seen: dict[str, list] = {"train": [], "val": []}

    def configure_optimizers(self):
        return (self.optimizer or partial(torch.optim.SGD, lr=0.1))(self.parameters())

    def training_step(self, batch, batch_idx):
        self._record("train", batch)
        return sum(
            (network(batch[f"image_{letter}"]) - batch[f"image_{letter}"]).square().mean()
            for letter, network in self.networks.items()
        )

    def validation_step(self, batch, batch_idx):
        self._record("val", batch)
        weights = batch["weight_a"], batch["weight_b"]
        loss = sum(
            (self.networks[letter](batch[f"image_{letter}"]).abs().mean() * weight).sum()
            for letter, weight in zip("ab", weights, strict=True)
        )
        self.log("val/loss", loss, batch_size=1, sync_dist=True)

    def _record(self, stage, batch):
        kept = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
        self.seen[stage].append(kept)


class Alone(Translator):
    """Model that reads two domains, without saying so."""

    reads_domains = False
