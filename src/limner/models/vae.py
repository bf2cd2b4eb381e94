"""Variational autoencoder, Kingma and Welling (2014), https://arxiv.org/abs/1312.6114.

    p(x, z) = p(x | z) p(z)        q(z | x) = N(mean(x), exp(logvar(x)))

The variants differ in their parts: p(x | z), p(z), the bound of log p(x) that is maximised, an
optional condition on a class, and the networks. Ladder networks draw several layers of codes, each
layer given the layers above it. DRAW draws the codes of several steps, each step given the canvas
that the steps before it have painted.
"""

__all__ = ["VAE"]

import lightning as L
import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from limner.interfaces import Batch, OptimizerFactory, Schedule, label_kwargs, trait
from limner.losses.bounds import LogWeights
from limner.models.conditions import drawn_labels, given_labels, keep_captions, read_texts
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
    paints,
)
from limner.randomness import Noise


class VAE(L.LightningModule):
    """Variational autoencoder: encoder, decoder, and learned parts of likelihood and prior.

    Args:
        encoder: Network from images (B, C, H, W), and labels if conditional, to mean and logvar
            (B, D). The encoder of a ladder returns maps, and that of DRAW a `Reading`.
        decoder: Network from codes (B, D), and labels if conditional, to the parameters of the
            likelihood. A decoder with a method `infer` draws several layers or steps of codes,
            see `limner.networks.ladder` and `limner.networks.draw`.
        likelihood: Distribution of images given those parameters.
        prior: Distribution of the codes.
        objective: Objective to minimise, in nats per image.
        latent_dim: Size D of a code; None if the decoder determines D (ladder, DRAW).
        kl_weight: Factor of the KL term, at least 0; 1 for the ELBO.
        kl_schedule: Second factor of the KL term, which changes over training; None for 1.
        num_classes: Number of classes that condition encoder and decoder; None without classes.
        text: Encoder of texts (B, L), whose codes condition encoder and decoder in the place of
            classes; the objective trains it. None without texts.
        optimizer: Factory of the optimizer.
        gradients: Options of gradient accumulation and clipping.
        ema_half_life: Number of images after which an old weight counts half in the average that
            samples and scores use; None for no average.
    """

    batches_per_update = 1
    loss_functions = ("_losses",)
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
        text: nn.Module | None,
        optimizer: OptimizerFactory,
        gradients: Gradients,
        ema_half_life: float | None,
    ) -> None:
        super().__init__()
        check_weight(objective, kl_weight, kl_schedule)
        is_conditional = num_classes is not None or text is not None
        check_parts(decoder, prior, objective, latent_dim, is_conditional=is_conditional)
        self.latent_dim = decoder.latent_dim if is_ladder(decoder) else latent_dim
        self.kl_weight, self.kl_schedule, self.objective = kl_weight, kl_schedule, objective
        self.num_classes, self.optimizer, self.gradients = num_classes, optimizer, gradients
        self.automatic_optimization = False
        read_texts(self, text)
        self.network = nn.ModuleDict(
            {"encoder": encoder, "decoder": decoder, "likelihood": likelihood, "prior": prior}
            | ({} if text is None else {"text": text})
        )
        self.ema = make_ema(self.network, ema_half_life, ramp=None)
        self.noise = Noise()

    @property
    def likelihood(self) -> Likelihood:
        """Likelihood, with the EMA weights if there are any."""
        return best(self)["likelihood"]

    @property
    def bounds_likelihood(self) -> bool:
        """Whether `log_weights` gives bounds of log p(x)."""
        normalised = getattr(self.likelihood, "is_normalised", True)
        return self.objective.is_variational and normalised

    def setup(self, stage: str) -> None:
        check_readable(self.likelihood, self.trainer.datamodule)
        keep_captions(self, self.trainer.datamodule)

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer(self.network.parameters())

    def sample(
        self, num_images: int, *, generator: Generator | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Return expected images (num_images, C, H, W) in [-1, 1] of codes from the prior.

        Args:
            num_images: Number of images.
            generator: Generator of all random numbers.
            labels: Classes int64 (num_images,) or texts (num_images, L) of a conditional model;
                None to draw them uniformly.
        """
        codes = self.sample_codes(num_images, generator=generator)
        if labels is None:
            labels = drawn_labels(self, num_images, generator=generator)
        return self.generate(codes, labels)

    def sample_codes(self, num_codes: int, *, generator: Generator | None = None) -> Tensor:
        """Draw codes (num_codes, latent_dim) from the prior."""
        if trait(best(self)["prior"], Prior, "is_standard_normal"):
            return torch.randn(num_codes, self.latent_dim, generator=generator)
        with evaluating(best(self)) as network:
            prior = network["prior"].given(network["encoder"])
            return prior.sample(num_codes, generator=generator)

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return expected images (B, C, H, W) of codes (B, latent_dim).

        The EMA weights are used if there are any.
        """
        with evaluating(best(self)) as network:
            z = z.to(self.device, self.dtype)
            params = network["decoder"](z, **label_kwargs(self._condition(network, labels)))
            return network["likelihood"].mean(params)

    def paint(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return expected images (T, B, C, H, W) after each step of a decoder that paints.

        The decoder of DRAW paints in T steps, see `limner.networks.draw`. For any other decoder T
        is 1, and the images equal the images of `generate`.
        """
        if not paints(best(self)["decoder"]):
            return self.generate(z, labels).unsqueeze(0)
        with evaluating(best(self)) as network:
            z = z.to(self.device, self.dtype)
            painted = network["decoder"].paint(z, **label_kwargs(self._condition(network, labels)))
            return torch.stack([network["likelihood"].mean(params) for params in painted])

    def posterior(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance (B, latent_dim) of q(z | x).

        For a ladder, each layer's mean and log-variance are computed from the means of the layers
        above it. An RAE has no variance; its log-variance is 0.

        Args:
            images: Images (B, C, H, W) in [-1, 1].
            labels: Classes int64 (B,) or texts (B, L) of a conditional model, else None.
        """
        images = images.to(self.device, self.dtype)
        eps = images.new_zeros(1, len(images), self.latent_dim)
        with evaluating(best(self)) as network:
            _, _, mean, logvar = infer(network, images, self._condition(network, labels), eps)
        return mean[0], logvar[0] * self.objective.is_variational

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return mean codes (B, latent_dim) of images (B, C, H, W) in [-1, 1]."""
        return self.posterior(images, labels)[0]

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return expected images (B, C, H, W) of the mean codes of `images`."""
        return self.generate(self.encode(images, labels), labels)

    def log_weights(
        self,
        images: Tensor,
        *,
        num_samples: int,
        generator: Generator | None = None,
        labels: Tensor | None = None,
    ) -> LogWeights:
        """Return log p(x|z) and log q(z|x) - log p(z), (num_samples, B), of codes from q(z|x)."""
        images = images.to(self.device, self.dtype)
        eps = torch.randn(num_samples, len(images), self.latent_dim, generator=generator)
        with evaluating(best(self)) as network:
            drawn = draw(network, images, self._condition(network, labels), eps.to(images))
            return LogWeights(drawn.log_prob, drawn.log_q - drawn.prior.log_prob(drawn.z))

    def kl_weight_at(self, update: int) -> float:
        """Return the factor of the KL in training; validation always has its full weight."""
        schedule = 1.0 if self.kl_schedule is None else self.kl_schedule(update)
        return schedule * self.kl_weight

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        images, labels = self._images(batch), self._labels(batch)
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
        images, labels = self._images(batch), self._labels(batch)
        size = self.objective.num_samples, len(images), self.latent_dim
        eps = torch.randn(size, device=images.device, dtype=images.dtype).transpose(0, 1)
        losses = self._losses(best(self), images, labels, eps, kl_weight=self.kl_weight)
        report_evaluation(self, losses, num_images=len(images))

    test_step = validation_step

    def _images(self, batch: Batch) -> Tensor:
        """Return what the model learns to draw: images (B, C, H, W)."""
        return batch["image"]

    def _labels(self, batch: Batch) -> Tensor | None:
        return given_labels(self, batch)

    def _losses(
        self,
        network: nn.ModuleDict,
        images: Tensor,
        labels: Tensor | None,
        eps: Tensor,
        *,
        kl_weight: float,
    ) -> dict[str, Tensor]:
        """Return the objective's values, averaged over B images; eps (B, K, D) draws the codes."""
        eps = eps if self.objective.is_variational else torch.zeros_like(eps)
        labels = self._condition(network, labels)
        drawn = draw(network, images, labels, eps.transpose(0, 1))
        return self.objective(drawn, kl_weight=kl_weight)

    def _condition(self, network: nn.ModuleDict, labels: Tensor | None) -> Tensor | None:
        """Return what the networks read: classes (B,), or the codes (B, code_dim) of texts."""
        if labels is None:
            return None
        labels = labels.to(self.device)
        return network["text"](labels) if self.reads_text else labels
