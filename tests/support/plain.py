"""A plain LightningModule of a user, with automatic optimization."""

from functools import partial

import lightning as L
import torch
from torch import nn
from torch.nn import functional as F


class Autoencoder(L.LightningModule):
    """A small autoencoder that adds torch's own noise to its input."""

    def __init__(self, *, optimizer: partial, noise: float) -> None:
        super().__init__()
        self.optimizer, self.noise_scale = optimizer, noise
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 64))

    def configure_optimizers(self):
        return self.optimizer(self.parameters())

    def training_step(self, batch, batch_idx):
        images = batch["image"]
        noisy = images + self.noise_scale * torch.randn_like(images)
        return F.mse_loss(self.layers(noisy), images.flatten(1))
