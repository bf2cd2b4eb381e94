"""What the two players of a GAN minimise: its loss, with all that is added to it.

    D: loss(D(T(x)), D(T(G(z)))) + penalties          G: loss(D(T(G(z))))

where T is an augmentation, if any. Of a conditional model both are told the class y of x: G(z, y)
and D(x, y); or D guesses it, and an auxiliary loss of the guess is added for both.
"""

__all__ = ["AdversarialLoss", "AuxiliaryLoss", "Game"]

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from limner.interfaces import Augmentation
from limner.losses.penalty import Pairs, Penalties
from limner.models.conditioning import conditioned
from limner.models.inputs import Inputs
from limner.models.optimization import Losses

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


class AdversarialLoss(Protocol):
    """What each player minimises for each pair of images, see `limner.losses.adversarial`."""

    needs_lipschitz: bool
    relativistic: bool
    threshold: float | None

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor: ...
    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor: ...


class AuxiliaryLoss(Protocol):
    """What each player minimises beside it for D's class logits, see `limner.losses.auxiliary`."""

    def generator(self, fake_logits: Tensor, *, labels: Tensor) -> Tensor: ...
    def discriminator(
        self, real_logits: Tensor, fake_logits: Tensor, *, labels: Tensor
    ) -> Tensor: ...


class Opinion(NamedTuple):
    """What D makes of B images."""

    logits: Tensor
    """(B,), large for real ones."""
    guess: Tensor | None
    """Logits (B, num_classes) of their class, if D guesses."""


class Game:
    """The players and the rules; its parts are modules of the GAN that holds them.

    Args:
        generator: z (B, latent_dim), and labels (B,) if conditional, to images (B, C, H, W).
        discriminator: Images, and labels, to logits (B,), or (B, 1 + num_classes) if it guesses.
        loss: What each player minimises.
        auxiliary: What each minimises of the guess, too; None where D does not guess.
        penalty: What is added to D's loss.
        augmentation: T; or None.

    Raises:
        ValueError: If they do not go together.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        loss: AdversarialLoss,
        auxiliary: AuxiliaryLoss | None,
        penalty: Penalties,
        augmentation: Augmentation | None,
    ) -> None:
        _check(discriminator, loss, penalty)
        self.generator, self.discriminator = generator, discriminator
        self.loss, self.auxiliary = loss, auxiliary
        self.penalty, self.augmentation = penalty, augmentation

    def discriminator_losses(self, inputs: Inputs, *, step: int, update: int) -> Losses:
        """In D's step number `step`, in the given update."""
        with torch.no_grad():
            fake = self._fake(inputs)
        real = self._seen(inputs.real, inputs.for_real)
        if len(self.penalty) > 0:
            real, fake = real.detach().requires_grad_(), fake.requires_grad_()
        of_real, of_fake = self._judge(real, inputs.labels), self._judge(fake, inputs.labels)
        pairs = Pairs(real, fake, of_real.logits, of_fake.logits)
        losses = {"loss_discriminator": self.loss.discriminator(of_real.logits, of_fake.logits)}
        if self.auxiliary is not None:
            losses["auxiliary_discriminator"] = self.auxiliary.discriminator(
                of_real.guess, of_fake.guess, labels=inputs.labels
            )

        def d(images: Tensor) -> Tensor:
            return self._judge(images, inputs.labels).logits

        penalties = self.penalty(d, pairs, uniform=inputs.for_penalty, step=step, update=update)
        losses |= {f"penalty_{name}": values for name, values in penalties.items()}
        return Losses(losses, torch.stack([of_real.logits, of_fake.logits], dim=1))

    def generator_losses(self, inputs: Inputs) -> Losses:
        of_fake, real_logits = self._judge(self._fake(inputs), inputs.labels), None
        if self.loss.relativistic:
            real = self._seen(inputs.real, inputs.for_real)
            real_logits = self._judge(real, inputs.labels).logits.detach()
        losses = {"loss_generator": self.loss.generator(real_logits, of_fake.logits)}
        if self.auxiliary is not None:
            guessed = self.auxiliary.generator(of_fake.guess, labels=inputs.labels)
            losses["auxiliary_generator"] = guessed
        return Losses(losses, of_fake.logits[:, None])

    def _fake(self, inputs: Inputs) -> Tensor:
        """G's images, as D sees them."""
        return self._seen(conditioned(self.generator, inputs.z, inputs.labels), inputs.for_fake)

    def _seen(self, images: Tensor, uniform: Tensor) -> Tensor:
        return images if self.augmentation is None else self.augmentation(images, uniform=uniform)

    def _judge(self, images: Tensor, labels: Tensor | None) -> Opinion:
        logits = conditioned(self.discriminator, images, labels)
        if self.auxiliary is None:
            return Opinion(logits, None)
        return Opinion(logits[:, 0], logits[:, 1:])


def _check(discriminator: nn.Module, loss: AdversarialLoss, penalty: Penalties) -> None:
    if loss.needs_lipschitz and len(penalty) == 0:
        raise ValueError(
            f"model/loss={type(loss).__name__.lower()} needs a penalty: model/penalty=gradient"
        )
    mixes = any(isinstance(module, BATCH_NORMS) for module in discriminator.modules())
    for name, each in penalty.items():
        if mixes and each.penalty.forbids_batch_norm:
            raise ValueError(
                f"model/penalty={name} is a penalty for each image, so a discriminator with batch "
                "norm does not fit: network.discriminator_norm=layer"
            )
