"""Generative adversarial network, Goodfellow et al. (2014), https://arxiv.org/abs/1406.2661.

An update is: num_discriminator_steps times the discriminator D learns to tell real images x from
those of the generator G, each time with fresh real and fake ones; then G learns once to mislead D.
What each of them minimises is in `limner.models.adversarial`.
"""

__all__ = ["GAN"]

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol, runtime_checkable

import lightning as L
import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from limner.interfaces import Augmentation, Batch, OptimizerFactory
from limner.losses.diagnostics import Verdict, means, verdict
from limner.losses.penalty import Penalties, Weighted
from limner.models.adversarial import AdversarialLoss, AuxiliaryLoss, Game
from limner.models.conditioning import conditioned
from limner.models.ema import evaluating, follow, make_ema
from limner.models.inputs import Inputs, make_inputs, split
from limner.models.optimization import Losses, Step, descend
from limner.models.standing_statistics import Standing
from limner.models.updates import count_update
from limner.randomness import Noise, generator_for, uniform_labels

STANDING_BATCH = 64  # images of a batch of `Standing`


@runtime_checkable
class Observes(Protocol):
    """A part whose state follows what D makes of the images."""

    def observe(self, verdict: Verdict, *, step: int, num_images: int) -> None: ...


@runtime_checkable
class Adaptive(Protocol):
    """An augmentation that is applied with a probability of its own finding."""

    p: Tensor


class GAN(L.LightningModule):
    """Trains a generator and a discriminator in turn.

    Args:
        generator: z (B, latent_dim), and labels (B,) if conditional, to images (B, C, H, W) in
            [-1, 1].
        discriminator: Images, and labels if conditional, to logits (B,), large for real ones; or
            (B, 1 + num_classes), with those of the classes behind, if there is an `auxiliary`.
        loss: What each player minimises.
        auxiliary: What each minimises of D's guess of the class, with its weight; or None.
        penalty: What is added to D's loss, by name, see `limner.losses.penalty`; or None.
        augmentation: Changes what D sees, in both players' turns; or None.
        latent_dim: Size of z, drawn from N(0, I).
        num_classes: How many classes the networks are told of; None for an unconditional model.
        num_discriminator_steps: D's steps in an update, at least 1.
        optimizer: Makes the optimizer of each player.
        discriminator_lr: Learning rate of D; None for the optimizer's own.
        max_gradient_norm: To which each player's gradient is shortened; None for as it is.
        num_parts: Equal parts in which the images of a step go through the networks.
        ema_half_life: Images after which an old weight of G counts half in the average that
            samples and scores use; None for no average.
        ema_ramp: The half-life is at most this share of the images seen so far; None for no bound.
        num_standing_batches: Batches over which batch norm's statistics are averaged for
            sampling, see `Standing`; None for the running ones of training.
    """

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
        num_discriminator_steps: int,
        optimizer: OptimizerFactory,
        discriminator_lr: float | None,
        max_gradient_norm: float | None,
        num_parts: int,
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
        self.generator, self.discriminator = generator, discriminator
        self.penalty, self.augmentation = Penalties(penalty), augmentation
        self.game = Game(
            generator, discriminator, loss=loss, auxiliary=auxiliary, penalty=self.penalty,
            augmentation=augmentation,
        )  # fmt: skip
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.batches_per_update, self.num_parts = num_discriminator_steps, num_parts
        self.optimizer, self.discriminator_lr = optimizer, discriminator_lr
        self.max_gradient_norm = max_gradient_norm
        self.ema = make_ema(generator, ema_half_life, ramp=ema_ramp)
        self.standing = None if num_standing_batches is None else Standing(num_standing_batches)
        self.noise = Noise()
        self._observers = [part for part in self.modules() if isinstance(part, Observes)]

    def configure_optimizers(self) -> tuple[Optimizer, Optimizer]:
        own_lr = {} if self.discriminator_lr is None else {"lr": self.discriminator_lr}
        return (
            self.optimizer(self.generator.parameters()),
            self.optimizer(self.discriminator.parameters(), **own_lr),
        )

    def sample(
        self,
        num_images: int,
        *,
        generator: Generator | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Images (num_images, C, H, W) in [-1, 1] of z, and classes if none given, at random."""
        z = torch.randn(num_images, self.latent_dim, generator=generator)
        if labels is None:
            labels = uniform_labels(num_images, self.num_classes, generator=generator)
        return self.generate(z, labels)

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] of codes (B, latent_dim), by the EMA weights if any."""
        best = self.generator if self.ema is None else self.ema.network
        if self.standing is not None:
            best = self.standing.of(best, update=self.global_step, draw=self._draw)
        with evaluating(best) as network:
            return self._made(network, z, labels)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        *inputs, last = make_inputs(
            batch, self.noise,
            num_steps=self.batches_per_update,
            latent_dim=self.latent_dim,
            is_conditional=self.num_classes is not None,
            num_augmenting=0 if self.augmentation is None else self.augmentation.num_draws,
            num_penalising=self.penalty.num_draws,
        )  # fmt: skip
        first = self.global_step * self.batches_per_update
        steps = [self._discriminator_step(each, first + i) for i, each in enumerate(inputs)]
        values = means(steps) | self._generator_step(last)
        follow(self, self.generator)
        count_update(self)
        return values

    def _discriminator_step(self, inputs: Inputs, step: int) -> dict[str, Tensor]:
        self.discriminator.requires_grad_(True)
        losses = partial(self.game.discriminator_losses, step=step, update=self.global_step)
        done = self._descend(1, inputs, losses)
        seen = self._observe(done.logits, step)
        return {**done.values, "gradient_norm_discriminator": done.gradient_norm, **seen}

    def _generator_step(self, inputs: Inputs) -> dict[str, Tensor]:
        self.discriminator.requires_grad_(False)
        done = self._descend(0, inputs, self.game.generator_losses)
        return {**done.values, "gradient_norm_generator": done.gradient_norm}

    def _descend(self, player: int, inputs: Inputs, losses: Callable[[Inputs], Losses]) -> Step:
        optimizer = self.optimizers(use_pl_optimizer=False)[player]
        parts = split(inputs, self.num_parts)
        return descend(self, optimizer, parts, losses, max_norm=self.max_gradient_norm)

    def _observe(self, logits: Tensor, step: int) -> dict[str, Tensor]:
        """Shows D's logits, of all processes, to the parts that follow them, and says them."""
        real, fake = self.all_gather(logits).flatten(0, -2).unbind(-1)
        seen = verdict(real, fake, threshold=self.game.loss.threshold)
        for part in self._observers:
            part.observe(seen, step=step, num_images=len(real))
        adaptive = isinstance(self.augmentation, Adaptive)
        return {
            "logits_real": seen.real_logits,
            "logits_fake": seen.fake_logits,
            "accuracy_real": seen.real_accuracy,
            "accuracy_fake": seen.fake_accuracy,
            **({"augmentation_p": self.augmentation.p.clone()} if adaptive else {}),
        }

    def _draw(self, network: nn.Module, batch: int) -> Tensor:
        """The images of a batch of `Standing`."""
        random = generator_for(0, "standing", batch)
        z = torch.randn(STANDING_BATCH, self.latent_dim, generator=random)
        labels = uniform_labels(STANDING_BATCH, self.num_classes, generator=random)
        return self._made(network, z, labels)

    def _made(self, network: nn.Module, z: Tensor, labels: Tensor | None) -> Tensor:
        """A generator's images, on the model's device."""
        labels = None if labels is None else labels.to(self.device)
        return conditioned(network, z.to(self.device, self.dtype), labels)
