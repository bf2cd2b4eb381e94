"""Variational autoencoder, Kingma and Welling (2014), https://arxiv.org/abs/1312.6114.

    ELBO(x) = E_q(z|x)[log p(x | z)] - kl_weight * KL(q(z | x) || N(0, I))

with q(z | x) = N(mean(x), exp(logvar(x))) and z = mean + exp(logvar / 2) * eps, eps ~ N(0, I).
A kl_weight above 1 makes it a beta-VAE (Higgins et al., 2017).
"""

__all__ = ["VAE"]

from typing import Any, Protocol

import lightning as L
import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from limner.interfaces import Batch, LogWeights, OptimizerFactory
from limner.losses.divergence import kl_standard_normal
from limner.models.ema import evaluating, make_ema
from limner.randomness import Noise


class Likelihood(Protocol):
    """p(x | z), see `limner.losses.likelihood`."""

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor: ...
    def mean(self, params: Tensor) -> Tensor: ...


class VAE(L.LightningModule):
    """Trains an encoder and a decoder on the ELBO, in nats for each image.

    Args:
        encoder: Images (B, C, H, W) to mean and logvar (B, latent_dim).
        decoder: Codes (B, latent_dim) to parameters of the likelihood (B, C, H, W).
        likelihood: Reads those parameters as a distribution of images.
        latent_dim: Size of a code.
        kl_weight: Factor of the KL term, at least 0; 1 for the ELBO.
        optimizer: Makes the optimizer.
        ema_half_life: Images after which an old weight counts half in the average that samples
            and scores use; None for no average.
    """

    batches_per_update = 1
    num_classes = None

    def __init__(
        self,
        *,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        latent_dim: int,
        kl_weight: float,
        optimizer: OptimizerFactory,
        ema_half_life: float | None,
    ) -> None:
        if kl_weight < 0:
            raise ValueError(f"model.kl_weight={kl_weight}: must be 0 or more.")
        super().__init__()
        self.network = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
        self.likelihood = likelihood
        self.latent_dim, self.kl_weight = latent_dim, kl_weight
        self.optimizer = optimizer
        self.ema = make_ema(self.network, ema_half_life)
        self.noise = Noise()

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer(self.network.parameters())

    def sample(self, num_images: int, *, generator: Generator | None = None) -> Tensor:
        """Expected images of codes from the prior: (num_images, C, H, W) in [-1, 1]."""
        return self.generate(torch.randn(num_images, self.latent_dim, generator=generator))

    def generate(self, z: Tensor) -> Tensor:
        """Expected images (B, C, H, W) of codes (B, latent_dim), by the EMA weights if any."""
        with evaluating(self._best) as network:
            return self.likelihood.mean(network["decoder"](z.to(self.device, self.dtype)))

    def encode(self, images: Tensor) -> Tensor:
        """Mean codes (B, latent_dim) of images (B, C, H, W) in [-1, 1]."""
        with evaluating(self._best) as network:
            mean, _ = network["encoder"](images.to(self.device, self.dtype))
            return mean

    def reconstruct(self, images: Tensor) -> Tensor:
        """Expected images (B, C, H, W) of the mean codes of `images`."""
        return self.generate(self.encode(images))

    def log_weights(
        self, images: Tensor, *, num_samples: int, generator: Generator | None = None
    ) -> LogWeights:
        """log p(x|z) and log q(z|x) - log p(z), (num_samples, B), of codes drawn from q(z | x)."""
        images = images.to(self.device, self.dtype)
        with evaluating(self._best) as network:
            mean, logvar = network["encoder"](images)
            eps = torch.randn(num_samples, *mean.shape, generator=generator).to(mean)
            z = mean + torch.exp(logvar / 2) * eps
            params = network["decoder"](z.flatten(0, 1))
        kl = 0.5 * (z.square() - eps.square() - logvar).sum(2)
        repeated = images.expand(num_samples, *images.shape).flatten(0, 1)
        reconstruction = self.likelihood.log_prob(params, repeated)
        return LogWeights(reconstruction.unflatten(0, kl.shape), kl)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        images = batch["image"]
        self._num_images += len(images) * self.trainer.world_size
        self._num_values = images[0].numel()
        return self._losses(self.network, images, self.noise.normal(images, self.latent_dim))

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Of nats for each pixel value, so that a learning rate suits images of any size."""
        super().backward(loss / self._num_values, *args, **kwargs)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        self._num_images = 0  # training_step follows, for each part of the batch
        super().optimizer_step(*args, **kwargs)
        if self.ema is not None:
            self.ema.update(self.network, num_images=self._num_images, update=self.global_step)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images = batch["image"]
        eps = torch.randn(len(images), self.latent_dim, device=images.device, dtype=images.dtype)
        losses = self._losses(self._best, images, eps)
        self.log_dict(
            {f"val/{name}": value for name, value in losses.items()},
            batch_size=len(images), sync_dist=True, logger=False,
        )  # fmt: skip

    @property
    def _best(self) -> nn.ModuleDict:
        return self.network if self.ema is None else self.ema.network

    def _losses(self, network: nn.ModuleDict, images: Tensor, eps: Tensor) -> dict[str, Tensor]:
        """The negative ELBO and its two terms, means over the batch, of codes made by `eps`."""
        mean, logvar = network["encoder"](images)
        z = mean + torch.exp(logvar / 2) * eps
        reconstruction = -self.likelihood.log_prob(network["decoder"](z), images).mean()
        kl = kl_standard_normal(mean, logvar).mean()
        loss = reconstruction + self.kl_weight * kl
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl}
