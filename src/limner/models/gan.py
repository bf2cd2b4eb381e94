"""Generative adversarial network, Goodfellow et al. (2014), https://arxiv.org/abs/1406.2661.

An update is: num_discriminator_steps times the discriminator D learns to tell real images from
those of the generator G, each time with fresh real and fake ones; then G learns once to mislead D.
"""

__all__ = ["GAN"]

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import lightning as L
import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from limner.interfaces import Batch, OptimizerFactory
from limner.losses.diagnostics import Verdict, verdict
from limner.losses.penalty import Pairs, Penalties, Weighted
from limner.models.ema import evaluating, make_ema
from limner.models.updates import count_update
from limner.randomness import Noise

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


class AdversarialLoss(Protocol):
    """What each player minimises for each pair of images, see `limner.losses.adversarial`."""

    needs_lipschitz: bool
    relativistic: bool
    threshold: float | None

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor: ...
    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor: ...


@runtime_checkable
class Observes(Protocol):
    """A part whose state follows what D makes of the images."""

    def observe(self, verdict: Verdict, *, step: int, num_images: int) -> None: ...


class GAN(L.LightningModule):
    """Trains a generator and a discriminator in turn.

    Args:
        generator: z (B, latent_dim) to images (B, C, H, W) in [-1, 1].
        discriminator: Images to logits (B,), large for real ones.
        loss: What each player minimises.
        penalty: What is added to D's loss, by name, see `limner.losses.penalty`; or None.
        latent_dim: Size of z, drawn from N(0, I).
        num_discriminator_steps: D's steps in an update, at least 1.
        optimizer: Makes the optimizer of each player.
        discriminator_lr: Learning rate of D; None for the optimizer's own.
        ema_half_life: Images after which an old weight of G counts half in the average that
            samples and scores use; None for no average.
    """

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: AdversarialLoss,
        penalty: Mapping[str, Weighted] | None,
        latent_dim: int,
        num_discriminator_steps: int,
        optimizer: OptimizerFactory,
        discriminator_lr: float | None,
        ema_half_life: float | None,
    ) -> None:
        super().__init__()
        _check(discriminator, loss, penalty, num_discriminator_steps)
        self.automatic_optimization = False
        self.generator, self.discriminator = generator, discriminator
        self.loss, self.penalty = loss, Penalties(penalty)
        self.latent_dim, self.batches_per_update = latent_dim, num_discriminator_steps
        self.optimizer, self.discriminator_lr = optimizer, discriminator_lr
        self.ema = make_ema(generator, ema_half_life)
        self.noise = Noise()
        self._observers = [part for part in self.modules() if isinstance(part, Observes)]

    def configure_optimizers(self) -> tuple[Optimizer, Optimizer]:
        own_lr = {} if self.discriminator_lr is None else {"lr": self.discriminator_lr}
        return (
            self.optimizer(self.generator.parameters()),
            self.optimizer(self.discriminator.parameters(), **own_lr),
        )

    def sample(self, num_images: int, *, generator: Generator | None = None) -> Tensor:
        """Images (num_images, C, H, W) in [-1, 1] of z from `generator`."""
        return self.generate(torch.randn(num_images, self.latent_dim, generator=generator))

    def generate(self, z: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] of codes (B, latent_dim), by the EMA weights if any."""
        with evaluating(self.generator if self.ema is None else self.ema.network) as network:
            return network(z.to(self.device, self.dtype))

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        reals = batch["image"].chunk(self.batches_per_update)
        for i, real in enumerate(reals):
            step = self.global_step * self.batches_per_update + i
            values = self._discriminator_step(real, step)
        values |= self._generator_step(reals[-1])
        if self.ema is not None:
            num_images = len(batch["image"]) * self.trainer.world_size
            self.ema.update(self.generator, num_images=num_images, update=self.global_step)
        count_update(self)
        return values

    def _discriminator_step(self, real: Tensor, step: int) -> dict[str, Tensor]:
        _, optimizer = self.optimizers(use_pl_optimizer=False)
        self.discriminator.requires_grad_(True)
        with torch.no_grad():
            fake = self.generator(self.noise.normal(real, self.latent_dim))
        pairs = self._judge(real, fake)
        loss = self.loss.discriminator(pairs.real_logits, pairs.fake_logits).mean()
        uniform = self.noise.uniform(real, self.penalty.num_draws)
        penalties = self.penalty(
            self.discriminator, pairs, uniform=uniform, step=step, update=self.global_step
        )
        penalties = {name: values.mean() for name, values in penalties.items()}
        self._step(optimizer, sum(penalties.values(), loss))
        seen = self._observe(pairs, step)
        return {
            "loss_discriminator": loss,
            **{f"penalty_{name}": value for name, value in penalties.items()},
            "logits_real": seen.real_logits,
            "logits_fake": seen.fake_logits,
        }

    def _judge(self, real: Tensor, fake: Tensor) -> Pairs:
        if len(self.penalty) > 0:
            real, fake = real.detach().requires_grad_(), fake.requires_grad_()
        return Pairs(real, fake, self.discriminator(real), self.discriminator(fake))

    def _observe(self, pairs: Pairs, step: int) -> Verdict:
        """Shows D's logits, of all processes, to the parts that follow them."""
        logits = torch.stack([pairs.real_logits.detach(), pairs.fake_logits.detach()], dim=-1)
        real, fake = self.all_gather(logits).flatten(0, -2).unbind(-1)
        seen = verdict(real, fake, threshold=self.loss.threshold)
        for part in self._observers:
            part.observe(seen, step=step, num_images=len(real))
        return seen

    def _generator_step(self, real: Tensor) -> dict[str, Tensor]:
        optimizer, _ = self.optimizers(use_pl_optimizer=False)
        self.discriminator.requires_grad_(False)
        fake = self.generator(self.noise.normal(real, self.latent_dim))
        fake_logits = self.discriminator(fake)
        real_logits = self.discriminator(real).detach() if self.loss.relativistic else None
        loss = self.loss.generator(real_logits, fake_logits).mean()
        self._step(optimizer, loss)
        return {"loss_generator": loss}

    def _step(self, optimizer: Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()


def _check(
    discriminator: nn.Module,
    loss: AdversarialLoss,
    penalty: Mapping[str, Weighted] | None,
    num_steps: int,
) -> None:
    if num_steps < 1:
        raise ValueError(f"model.num_discriminator_steps={num_steps}: must be at least 1.")
    if loss.needs_lipschitz and penalty is None:
        raise ValueError(
            f"model/loss={type(loss).__name__.lower()} needs a penalty: model/penalty=gradient"
        )
    mixes = any(isinstance(module, BATCH_NORMS) for module in discriminator.modules())
    for name, each in (penalty or {}).items():
        if mixes and each.penalty.forbids_batch_norm:
            raise ValueError(
                f"model/penalty={name} is a penalty for each image, so a discriminator with batch "
                "norm does not fit: network.discriminator_norm=layer"
            )
