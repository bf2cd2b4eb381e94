"""The losses of the two players of a GAN, Goodfellow et al. (2014), https://arxiv.org/abs/1406.2661.

    D: loss(D(T(x)), D(T(G(z)))) + penalties          G: loss(D(T(G(z))))

T is the augmentation, if there is one. Both players of a conditional model get the class y of x,
G(z, y) and D(x, y); or D predicts the class, and an auxiliary loss of the prediction is added. If
y is a text, see `limner.losses.matching` for the auxiliary losses.
"""

__all__ = ["AdversarialObjective", "Inputs", "PlayerLosses"]

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from limner.interfaces import AdversarialLoss, Augmentation, AuxiliaryLoss, label_kwargs
from limner.losses.penalty import Pairs, Penalties
from limner.models.adversarial_checks import by_name, check_players, is_relativistic, parts_of
from limner.models.adversarial_inputs import Inputs, draw_inputs
from limner.models.text import TextGenerator
from limner.randomness import Noise


class PlayerLosses(NamedTuple):
    """Losses that a player minimises, and the discriminator's logits."""

    means: dict[str, Tensor]  # means over the pairs (), by name; their sum is minimised
    logits: Tensor  # D's step: (..., 2) for real and fake images; G's step: (..., 1) for fakes


@dataclass(eq=False)
class AdversarialObjective:
    """Losses of both players. `limner.models.GAN` describes the parts.

    Raises:
        ValueError: If the parts do not fit together.
    """

    generator: nn.Module
    discriminator: nn.Module
    loss: AdversarialLoss
    auxiliary: AuxiliaryLoss | None
    penalty: Penalties
    augmentation: Augmentation | None

    def __post_init__(self) -> None:
        check_players(self.generator, self.discriminator, self.loss, self.penalty)

    def draw_inputs(
        self, images: Tensor, labels: Tensor | None, noise: Noise, **sizes: int
    ) -> list[Inputs]:
        """Return the inputs of each step of D, and of G's step."""
        parts = {"augmentation": self.augmentation, "penalty": self.penalty}
        return draw_inputs(images, labels, noise, **sizes, **parts)

    def discriminator_losses(self, inputs: Inputs, step: int, *, update: int) -> PlayerLosses:
        """Return D's losses in its step number `step`, which belongs to update `update`."""
        real, fake = (images.detach() for images in self.pairs(inputs))
        if self.penalty.of_discriminator:
            real, fake = real.requires_grad_(), fake.requires_grad_()
        factors = self.penalty.factors(step=step, update=update)
        return self.losses_of_pairs(real, fake, inputs, factors)

    def losses_of_pairs(
        self, real: Tensor, fake: Tensor, inputs: Inputs, factors: dict[str, float]
    ) -> PlayerLosses:
        """Return D's losses on images (B, C, H, W), with penalties multiplied by `factors`."""
        real_logits, real_more = self._judge(real, inputs)
        fake_logits, fake_more = self._judge(fake, inputs)
        losses = {"loss_discriminator": self.loss.discriminator(real_logits, fake_logits)}
        if self.auxiliary is not None:
            more = self.auxiliary.discriminator(real_more, fake_more, labels=inputs.labels)
            losses |= by_name(more, "discriminator")
        penalties = self.penalty(
            lambda images: self._judge(images, inputs)[0],
            Pairs(real, fake, real_logits, fake_logits),
            uniform=inputs.for_penalty, factors=factors,
        )  # fmt: skip
        losses |= {f"penalty_{name}": values for name, values in penalties.items()}
        means = {name: values.mean() for name, values in losses.items()}
        return PlayerLosses(means, torch.stack([real_logits, fake_logits], dim=-1))

    def generator_losses(self, inputs: Inputs) -> PlayerLosses:
        """Return G's losses. A relativistic loss reads the logits of real images too."""
        (fake_logits, fake_more), real_logits = self._judge(self._fake(inputs), inputs), None
        if is_relativistic(self.loss):
            real = self._augment(inputs.real, inputs.for_real)
            real_logits = self._judge(real, inputs)[0].detach()
        means = {"loss_generator": self.loss.generator(real_logits, fake_logits).mean()}
        if self.auxiliary is not None:
            more = self.auxiliary.generator(fake_more, labels=inputs.labels)
            means |= {n: v.mean() for n, v in by_name(more, "generator").items()}
        if isinstance(self.generator, TextGenerator):
            means |= self.generator.losses(inputs.labels)
        return PlayerLosses(means, fake_logits[..., None])

    def pairs(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Return T(x) and T(G(z)), without gradients."""
        with torch.no_grad():
            return self._augment(inputs.real, inputs.for_real), self._fake(inputs)

    def _fake(self, inputs: Inputs) -> Tensor:
        """Return T(G(z))."""
        images = self.generator(inputs.z, **label_kwargs(inputs.labels))
        return self._augment(images, inputs.for_fake)

    def _augment(self, images: Tensor, uniform: Tensor) -> Tensor:
        return images if self.augmentation is None else self.augmentation(images, uniform=uniform)

    def _judge(self, images: Tensor, inputs: Inputs) -> tuple[Tensor, Any]:
        """Return D's logits (B,) or (B, K), and what the auxiliary loss reads."""
        judged = self.discriminator(images, **label_kwargs(inputs.labels))
        return parts_of(judged, has_auxiliary=self.auxiliary is not None)
