"""Variational autoencoder, Kingma and Welling (2014), https://arxiv.org/abs/1312.6114.

    p(x, z) = p(x | z) p(z)        q(z | x) = N(mean(x), exp(logvar(x)))

A member of the family is a choice of its parts: what p(x | z) and p(z) are, which bound of log
p(x) is maximised, whether all is conditional on a class, and the networks; those of a ladder draw
several layers of codes, each given those above it.
"""

__all__ = ["VAE"]

import lightning as L
import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from limner.interfaces import Batch, LogWeights, OptimizerFactory, Schedule, label_kwargs, trait
from limner.models.ema import best, evaluating, follow, make_ema
from limner.models.gradients import Gradients
from limner.models.lightning_internals import finish_update, report_evaluation
from limner.models.optimization import OptimizerStep, micro_batches
from limner.models.variational import (
    Likelihood,
    Objective,
    Prior,
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
        gradients: How gradients are accumulated and clipped.
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
        gradients: Gradients,
        ema_half_life: float | None,
    ) -> None:
        super().__init__()
        check_weight(objective, kl_weight, kl_schedule)
        check_parts(decoder, prior, objective, latent_dim, num_classes)
        self.latent_dim = decoder.latent_dim if is_ladder(decoder) else latent_dim
        self.kl_weight, self.kl_schedule, self.objective = kl_weight, kl_schedule, objective
        self.num_classes, self.optimizer, self.gradients = num_classes, optimizer, gradients
        self.automatic_optimization = False
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
        if trait(best(self)["prior"], Prior, "is_standard_normal"):
            return torch.randn(num_codes, self.latent_dim, generator=generator)
        with evaluating(best(self)) as network:
            prior = network["prior"].given(network["encoder"])
            return prior.sample(num_codes, generator=generator)

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Expected images (B, C, H, W) of codes (B, latent_dim), by the EMA weights if any."""
        with evaluating(best(self)) as network:
            z = z.to(self.device, self.dtype)
            params = network["decoder"](z, **label_kwargs(self._placed(labels)))
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

    def kl_weight_at(self, update: int) -> float:
        """Return the factor of the KL in training; validation always has its full weight."""
        schedule = 1.0 if self.kl_schedule is None else self.kl_schedule(update)
        return schedule * self.kl_weight

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        images, labels = batch["image"], self._labels(batch)
        eps = self.noise.normal(images, self.objective.num_samples, self.latent_dim)
        kl_weight = self.kl_weight_at(self.global_step)
        step = OptimizerStep(self, self.optimizers(use_pl_optimizer=False), self.gradients)
        for part in micro_batches(self.gradients, images, labels, eps):
            losses = self._losses(self.network, *part, kl_weight=kl_weight)
            # in nats per pixel value, so that one learning rate suits images of any size
            step.backward(losses["loss"] / images[0].numel(), losses)
        values = step.finish()
        follow(self, self.network)
        return finish_update(self, values)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images, labels = batch["image"], self._labels(batch)
        size = self.objective.num_samples, len(images), self.latent_dim
        eps = torch.randn(size, device=images.device, dtype=images.dtype).transpose(0, 1)
        losses = self._losses(best(self), images, labels, eps, kl_weight=self.kl_weight)
        report_evaluation(self, losses, num_images=len(images))

    test_step = validation_step

    def _labels(self, batch: Batch) -> Tensor | None:
        return None if self.num_classes is None else batch["label"]

    def _losses(
        self,
        network: nn.ModuleDict,
        images: Tensor,
        labels: Tensor | None,
        eps: Tensor,
        *,
        kl_weight: float,
    ) -> dict[str, Tensor]:
        """Return the objective's means over B images, whose codes are drawn by eps (B, K, D)."""
        eps = eps if self.objective.is_variational else torch.zeros_like(eps)
        drawn = draw(network, images, labels, eps.transpose(0, 1))
        return self.objective(drawn, kl_weight=kl_weight)

    def _placed(self, labels: Tensor | None) -> Tensor | None:
        return None if labels is None else labels.to(self.device)
