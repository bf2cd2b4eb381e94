"""A LightningModule with a DataLoader, in the style of the usual templates of Lightning."""

__all__ = ["GANTemplate", "VAETemplate", "fit"]

from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.cases import Setup
from benchmarks.tutorial import average, make_loader


class VAETemplate(L.LightningModule):
    """A VAE with one optimizer, which Lightning steps."""

    def __init__(self, setup: Setup, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.numbers = setup
        self.network = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
        self.ema = average(setup, self.network)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return _adam(self.numbers, self.network)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, _ = batch
        mu, logvar = self.network["encoder"](x)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        sigma = self.numbers.values["likelihood"]["sigma"]
        mse = F.mse_loss(self.network["decoder"](z), x, reduction="sum") / (2 * sigma**2)
        kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        loss = (mse + self.numbers.values["kl_weight"] * kld) / x.numel()
        self.log("train/mse", mse, on_step=False, on_epoch=True)
        self.log("train/kld", kld, on_step=False, on_epoch=True)
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        return loss

    def on_train_batch_end(self, *args: object) -> None:
        if self.numbers.averages:
            self.ema.update_parameters(self.network)

    @torch.no_grad()
    def sample(self, num_images: int) -> Tensor:
        """Draw images in [-1, 1] with the averaged weights."""
        z = torch.randn(num_images, self.numbers.values["latent_dim"], device=self.device)
        return self.ema.module["decoder"](z).clamp(-1, 1)


class GANTemplate(L.LightningModule):
    """A GAN with two optimizers, stepped by hand as in Lightning's own example."""

    def __init__(self, setup: Setup, generator: nn.Module, discriminator: nn.Module) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.numbers = setup
        self.generator, self.discriminator = generator, discriminator
        self.ema = average(setup, generator)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [_adam(self.numbers, net) for net in (self.generator, self.discriminator)]

    def training_step(self, batch: Any, batch_idx: int) -> None:
        real, _ = batch
        optimizer_g, optimizer_d = self.optimizers()
        valid = torch.ones(len(real), device=self.device)
        loss = F.binary_cross_entropy_with_logits

        self.toggle_optimizer(optimizer_d)
        with torch.no_grad():
            fake = self.generator(self._noise(len(real)))
        real_loss = loss(self.discriminator(real), valid)
        d_loss = real_loss + loss(self.discriminator(fake), torch.zeros_like(valid))
        self.log("d_loss", d_loss, prog_bar=True)
        optimizer_d.zero_grad()
        self.manual_backward(d_loss)
        optimizer_d.step()
        self.untoggle_optimizer(optimizer_d)

        self.toggle_optimizer(optimizer_g)
        fake = self.generator(self._noise(len(real)))
        g_loss = loss(self.discriminator(fake), valid)
        self.log("g_loss", g_loss, prog_bar=True)
        optimizer_g.zero_grad()
        self.manual_backward(g_loss)
        optimizer_g.step()
        self.untoggle_optimizer(optimizer_g)

    def on_train_batch_end(self, *args: object) -> None:
        self.ema.update_parameters(self.generator)

    @torch.no_grad()
    def sample(self, num_images: int) -> Tensor:
        """Draw images in [-1, 1] with the averaged weights."""
        return self.ema(self._noise(num_images)).clamp(-1, 1)

    def _noise(self, num_images: int) -> Tensor:
        size = self.numbers.values["latent_dim"] + getattr(self.generator, "num_draws", 0)
        return torch.randn(num_images, size, device=self.device)


def fit(setup: Setup, model: L.LightningModule, callback: L.Callback) -> L.Trainer:
    """Train with Lightning's default settings until the callback stops training."""
    trainer = L.Trainer(
        accelerator=setup.device,
        devices=1,
        max_epochs=-1,
        precision="bf16-mixed" if setup.bf16 else "32-true",
        callbacks=[callback],
        enable_progress_bar=False,  # limner's bar is silent here too
    )
    trainer.fit(model, make_loader(setup))
    return trainer


def _adam(setup: Setup, network: nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=setup.lr, betas=setup.betas)
