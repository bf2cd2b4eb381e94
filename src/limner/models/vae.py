"""Variational autoencoder, Kingma and Welling (2014), https://arxiv.org/abs/1312.6114.

    p(x, z) = p(x | z) p(z)        q(z | x) = N(mean(x), exp(logvar(x)))

A member of the family is a choice of its parts: what p(x | z) and p(z) are, which bound of log
p(x) is maximised, whether all is conditional on a class, and the networks; those of a ladder draw
several layers of codes, each given those above it.
"""

__all__ = ["VAE"]

from typing import Any

import lightning as L
import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from limner.interfaces import Batch, LogWeights, OptimizerFactory
from limner.models.conditioning import conditioned
from limner.models.ema import best, evaluating, follow, make_ema
from limner.models.variational import (
    Likelihood,
    Objective,
    Prior,
    Schedule,
    check_parts,
    check_readable,
    check_weight,
    draw,
    infer,
    is_ladder,
)
from limner.randomness import Noise, uniform_labels


class VAE(L.LightningModule):
    """Trains an encoder, a decoder and what of the likelihood and the prior is learned.

    Args:
        encoder: Images (B, C, H, W), and labels if conditional, to mean and logvar (B, D).
        decoder: Codes (B, D), and labels, to parameters of the likelihood. One with `infer` is a
            ladder, see `limner.networks.ladder`, whose encoder gives maps.
        likelihood: Reads those parameters as a distribution of images.
        prior: Of the codes.
        objective: What is minimised, in nats for each image.
        latent_dim: D; None where a ladder's decoder says.
        kl_weight: Factor of the KL term, at least 0; 1 for the ELBO.
        kl_schedule: A further factor that changes over training; None for none.
        num_classes: How many classes encoder and decoder are told of; None for no condition.
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
        prior: Prior,
        objective: Objective,
        latent_dim: int | None,
        kl_weight: float,
        kl_schedule: Schedule | None,
        num_classes: int | None,
        optimizer: OptimizerFactory,
        ema_half_life: float | None,
    ) -> None:
        super().__init__()
        check_weight(objective, kl_weight, kl_schedule)
        check_parts(decoder, prior, objective, latent_dim, num_classes)
        self.latent_dim = decoder.latent_dim if is_ladder(decoder) else latent_dim
        self.kl_weight, self.kl_schedule, self.objective = kl_weight, kl_schedule, objective
        self.num_classes, self.optimizer = num_classes, optimizer
        self.network = nn.ModuleDict(
            {"encoder": encoder, "decoder": decoder, "likelihood": likelihood, "prior": prior}
        )
        self.ema = make_ema(self.network, ema_half_life, ramp=None)
        self.noise = Noise()

    @property
    def likelihood(self) -> Likelihood:
        return best(self)["likelihood"]

    @property
    def bounds_likelihood(self) -> bool:
        """Whether `log_weights` bound log p(x)."""
        normalised = getattr(self.likelihood, "is_normalised", True)
        return self.objective.is_variational and normalised

    def setup(self, stage: str) -> None:
        check_readable(self.likelihood, self.trainer.datamodule)

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer(self.network.parameters())

    def sample(
        self, num_images: int, *, generator: Generator | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Expected images (num_images, C, H, W) in [-1, 1] of codes from the prior.

        Of the classes `labels` int64 (num_images,) if conditional; None for uniformly drawn ones.
        """
        codes = self.sample_codes(num_images, generator=generator)
        if labels is None:
            labels = uniform_labels(num_images, self.num_classes, generator=generator)
        return self.generate(codes, labels)

    def sample_codes(self, num_codes: int, *, generator: Generator | None = None) -> Tensor:
        """Codes (num_codes, latent_dim) from the prior."""
        if best(self)["prior"].is_standard_normal:
            return torch.randn(num_codes, self.latent_dim, generator=generator)
        with evaluating(best(self)) as network:
            prior = network["prior"].given(network["encoder"])
            return prior.sample(num_codes, generator=generator)

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Expected images (B, C, H, W) of codes (B, latent_dim), by the EMA weights if any."""
        with evaluating(best(self)) as network:
            z = z.to(self.device, self.dtype)
            params = conditioned(network["decoder"], z, self._placed(labels))
            return network["likelihood"].mean(params)

    def posterior(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, latent_dim) of q(z | x), of images (B, C, H, W) in [-1, 1].

        Of a ladder each layer's are those given the means of the layers above it; of an RAE, which
        has no variance, the log-variance is 0.
        """
        images = images.to(self.device, self.dtype)
        eps = images.new_zeros(1, len(images), self.latent_dim)
        with evaluating(best(self)) as network:
            _, _, mean, logvar = infer(network, images, self._placed(labels), eps)
        return mean[0], logvar[0] * self.objective.is_variational

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Mean codes (B, latent_dim) of images (B, C, H, W) in [-1, 1]."""
        return self.posterior(images, labels)[0]

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Expected images (B, C, H, W) of the mean codes of `images`."""
        return self.generate(self.encode(images, labels), labels)

    def log_weights(
        self,
        images: Tensor,
        *,
        num_samples: int,
        generator: Generator | None = None,
        labels: Tensor | None = None,
    ) -> LogWeights:
        """log p(x|z) and log q(z|x) - log p(z), (num_samples, B), of codes drawn from q(z | x)."""
        images = images.to(self.device, self.dtype)
        eps = torch.randn(num_samples, len(images), self.latent_dim, generator=generator)
        with evaluating(best(self)) as network:
            drawn = draw(network, images, self._placed(labels), eps.to(images))
            return LogWeights(drawn.log_prob, drawn.log_q - drawn.prior.log_prob(drawn.z))

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        images = batch["image"]
        self._num_values = images[0].numel()
        eps = self.noise.normal(images, self.objective.num_samples, self.latent_dim)
        return self._losses(self.network, batch, eps.transpose(0, 1))

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Of nats for each pixel value, so that a learning rate suits images of any size."""
        super().backward(loss / self._num_values, *args, **kwargs)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        follow(self, self.network)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images = batch["image"]
        size = self.objective.num_samples, len(images), self.latent_dim
        eps = torch.randn(size, device=images.device, dtype=images.dtype)
        losses = self._losses(best(self), batch, eps)
        self.log_dict(
            {f"val/{name}": value for name, value in losses.items()},
            batch_size=len(images), sync_dist=True, logger=False,
        )  # fmt: skip

    def _losses(self, network: nn.ModuleDict, batch: Batch, eps: Tensor) -> dict[str, Tensor]:
        """What the objective makes of codes drawn by `eps` (K, B, D), means over the batch.

        The schedule of the KL is for training; validation has its full weight.
        """
        labels = None if self.num_classes is None else batch["label"]
        is_scheduled = network.training and self.kl_schedule is not None
        schedule = self.kl_schedule(self.global_step) if is_scheduled else 1.0
        eps = eps if self.objective.is_variational else torch.zeros_like(eps)
        drawn = draw(network, batch["image"], labels, eps)
        return self.objective(drawn, kl_weight=schedule * self.kl_weight)

    def _placed(self, labels: Tensor | None) -> Tensor | None:
        return None if labels is None else labels.to(self.device)
