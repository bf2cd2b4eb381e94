"""Generative adversarial network, Goodfellow et al. (2014), https://arxiv.org/abs/1406.2661.

In each update the discriminator D takes `num_discriminator_steps` steps, each on fresh real images
x and fresh fake images G(z). Then the generator G takes one step. `limner.models.adversarial`
defines the losses of both players.
"""

__all__ = ["GAN"]

from collections.abc import Mapping

import lightning as L
import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from limner.interfaces import (
    AdversarialLoss,
    Augmentation,
    AuxiliaryLoss,
    Batch,
    OptimizerFactory,
    label_kwargs,
    trait,
)
from limner.losses.diagnostics import means
from limner.losses.penalty import Penalties, Weighted
from limner.models.adversarial import AdversarialObjective, Inputs
from limner.models.adversarial_checks import load_pretrained, observe_logits, validation_losses
from limner.models.conditions import drawn_labels, given_labels, keep_captions, read_texts
from limner.models.ema import evaluating, follow, make_ema
from limner.models.generator_penalties import GeneratorPenalties
from limner.models.gradients import Gradients
from limner.models.lightning_internals import finish_update, report_evaluation
from limner.models.optimization import OptimizerStep, micro_batches
from limner.models.standing_statistics import make_standing_statistics
from limner.models.style_generator import StyleGenerator
from limner.models.text import own_weights, with_texts
from limner.randomness import Noise


class GAN(L.LightningModule):
    """Generative adversarial network: a generator and a discriminator that are trained in turn.

    Args:
        generator: Network from z (B, latent_dim), and labels (B,) if conditional, to images
            (B, C, H, W); samples are clamped to [-1, 1]. See also `StyleGenerator`.
        discriminator: Network from images, and labels if conditional, to logits (B,), large for
            real images. With an `auxiliary` loss the logits are (B, 1 + num_classes), the class
            logits last. With logits (B, K) of K heads, the mean of their losses is minimised.
        loss: Adversarial loss of both players.
        auxiliary: Weighted loss of D's predicted class; None for no prediction.
        penalty: Penalties of D by name, see `limner.losses.penalty`; None for no penalty.
        augmentation: Change of all images that D sees; None for no change.
        latent_dim: Size of z, drawn from N(0, I).
        num_classes: Number of classes that the networks read; None without classes.
        text: Encoder of texts, for labels that are texts (B, L), see `limner.models.text`; None
            without texts.
        num_discriminator_steps: Number of D's steps per update, at least 1.
        optimizer: Factory of the optimizer of each player.
        discriminator_lr: Learning rate of D; None for the optimizer's learning rate.
        gradients: Options of gradient accumulation and clipping, for each player.
        ema_half_life: Number of images after which an old weight of G counts half in the average
            that samples and scores use; None for no average.
        ema_ramp: Largest half-life as a share of the images seen so far; None for no bound.
        num_standing_batches: Number of batches over which batch norm's statistics are averaged for
            sampling, see `StandingStatistics`; None for the running averages of training.
    """

    loss_functions = (
        "objective.pairs", "objective.losses_of_pairs", "objective.generator_losses",
        "generator_penalties.values",
    )  # fmt: skip
    validates_in_training = False  # scores are more useful; `trainer.validate` still works

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: AdversarialLoss,
        auxiliary: AuxiliaryLoss | None,
        penalty: Mapping[str, Weighted] | None,
        augmentation: Augmentation | None,
        latent_dim: int,
        num_classes: int | None,
        text: nn.Module | None,
        num_discriminator_steps: int,
        optimizer: OptimizerFactory,
        discriminator_lr: float | None,
        gradients: Gradients,
        ema_half_life: float | None,
        ema_ramp: float | None,
        num_standing_batches: int | None,
    ) -> None:
        super().__init__()
        if num_discriminator_steps < 1:
            raise ValueError(
                f"model.num_discriminator_steps={num_discriminator_steps}: must be at least 1."
            )
        self.automatic_optimization = False
        read_texts(self, text)
        generator, discriminator = with_texts(
            text, generator, discriminator, auxiliary=auxiliary, latent_dim=latent_dim
        )
        self.generator, self.discriminator = generator, discriminator
        self.penalty, self.augmentation = Penalties(penalty), augmentation
        self.objective = AdversarialObjective(
            generator, discriminator, loss, auxiliary, self.penalty, augmentation
        )
        self.generator_penalties = GeneratorPenalties(generator, self.penalty)
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.num_normal = latent_dim + trait(generator, StyleGenerator, "num_draws")
        self.batches_per_update, self.gradients = num_discriminator_steps, gradients
        self.optimizer, self.discriminator_lr = optimizer, discriminator_lr
        self.ema = make_ema(generator, ema_half_life, ramp=ema_ramp)
        self.standing, self.noise = make_standing_statistics(num_standing_batches), Noise()

    def setup(self, stage: str) -> None:
        load_pretrained(self.discriminator)
        keep_captions(self, self.trainer.datamodule)

    def configure_optimizers(self) -> tuple[Optimizer, Optimizer]:
        own_lr = {} if self.discriminator_lr is None else {"lr": self.discriminator_lr}
        return (
            self.optimizer(own_weights(self.generator)),
            self.optimizer(self.discriminator.parameters(), **own_lr),
        )

    def sample(
        self, num_images: int, *, generator: Generator | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """Return images (num_images, C, H, W) in [-1, 1]; without labels, draw random labels."""
        return self.generate(*self._draw_codes(num_images, labels, generator=generator))

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (B, C, H, W) of codes (see `StyleGenerator`); use any EMA weights."""
        network = self.generator if self.ema is None else self.ema.network
        if self.standing is not None:
            network = self.standing.of(network, update=self.global_step, draw=self._draw_images)
        with evaluating(network):
            return self._generate(network, z, labels)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        *discriminator_inputs, generator_inputs = self.objective.draw_inputs(
            batch["image"], given_labels(self, batch), self.noise,
            num_steps=self.batches_per_update, num_normal=self.num_normal,
        )  # fmt: skip
        self.discriminator.requires_grad_(True)
        first_step = self.global_step * self.batches_per_update
        steps = [
            self._discriminator_step(inputs, step)
            for step, inputs in enumerate(discriminator_inputs, first_step)
        ]
        self.discriminator.requires_grad_(False)
        values = means(steps) | self._generator_step(generator_inputs)
        follow(self, self.generator)
        return finish_update(self, values)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        report_evaluation(self, validation_losses(self, batch), num_images=len(batch["image"]))

    test_step = validation_step

    def _discriminator_step(self, inputs: Inputs, step: int) -> dict[str, Tensor]:
        _, optimizer = self.optimizers(use_pl_optimizer=False)
        optimizer_step, logits = OptimizerStep(self, optimizer, self.gradients), []
        for part in map(Inputs._make, micro_batches(self.gradients, *inputs)):
            losses = self.objective.discriminator_losses(part, step, update=self.global_step)
            optimizer_step.backward(sum(losses.means.values()), losses.means)
            logits.append(losses.logits.detach())
        values = optimizer_step.finish(norm_name="gradient_norm_discriminator")
        return values | observe_logits(self.objective, torch.cat(logits), step)

    def _generator_step(self, inputs: Inputs) -> dict[str, Tensor]:
        optimizer, _ = self.optimizers(use_pl_optimizer=False)
        optimizer_step = OptimizerStep(self, optimizer, self.gradients)
        self.generator_penalties.begin(self, inputs)
        for part in map(Inputs._make, micro_batches(self.gradients, *inputs)):
            losses = self.objective.generator_losses(part).means | self.generator_penalties(part)
            optimizer_step.backward(sum(losses.values()), losses)
        self.generator_penalties.finish()
        return optimizer_step.finish(norm_name="gradient_norm_generator")

    def _draw_codes(
        self, num_images: int, labels: Tensor | None, *, generator: Generator | None
    ) -> tuple[Tensor, Tensor | None]:
        z = torch.randn(num_images, self.num_normal, generator=generator)
        if labels is None:
            labels = drawn_labels(self, num_images, generator=generator)
        return z, labels

    def _draw_images(self, network: nn.Module, num_images: int, generator: Generator) -> Tensor:
        return self._generate(network, *self._draw_codes(num_images, None, generator=generator))

    def _generate(self, network: nn.Module, z: Tensor, labels: Tensor | None) -> Tensor:
        labels = None if labels is None else labels.to(self.device)
        return network(z.to(self.device, self.dtype), **label_kwargs(labels)).clamp(-1, 1)
