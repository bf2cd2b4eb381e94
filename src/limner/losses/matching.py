"""The losses by which a GAN learns whether an image and a text belong together.

    mismatch     D takes a real image with the text of another image for a fake
                                    GAN-CLS, Reed et al. (2016), algorithm 1
    contrastive  -log of the softmax of cos(image, text) / temperature, in which the right text
                 competes with the other texts of the batch; and the same for the images of a text
                                    AttnGAN's DAMSM, Xu et al. (2018), equations 11 and 12;
                                    XMC-GAN, Zhang et al. (2021), equations 2 and 7

D minimises both on real images, which trains the encoder of texts. G may minimise the contrastive
loss of its images, through the weights of D, which do not change in its step.

https://arxiv.org/abs/1605.05396, https://arxiv.org/abs/1711.10485,
https://arxiv.org/abs/2101.04702
"""

__all__ = ["Matched", "TextMatching", "contrastive"]

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from limner.interfaces import AdversarialLoss


class Matched(NamedTuple):
    """What a discriminator of images and texts computed for B images, beside its logits."""

    logits: Tensor  # logits (B,) of the images with their texts
    wrong_logits: Tensor  # logits (B,) of the images with the texts of the images before them
    image_codes: Tensor  # (B, D)
    text_codes: Tensor  # (B, D), of length 1


class TextMatching:
    """Losses of both players of a GAN that reads texts, see the module.

    Values are per image, (B,), and depend on the other images of a micro-batch on one device. A
    pair of an image and an equal text of another image is neither wrong nor a competitor.

    Args:
        loss: Adversarial loss, by which D judges wrong texts.
        mismatch_weight: Factor of the mismatch, at least 0; 1 in GAN-CLS.
        contrastive_weight: Factor of D's contrastive loss, at least 0.
        generator_weight: Factor of G's contrastive loss, at least 0.
        temperature: Divisor of the cosines, above 0.
        augmentation_weight: Factor of the KL of conditioning augmentation in G's loss, above 0,
            see `limner.models.text`; None for no augmentation.
    """

    def __init__(
        self,
        *,
        loss: AdversarialLoss,
        mismatch_weight: float,
        contrastive_weight: float,
        generator_weight: float,
        temperature: float,
        augmentation_weight: float | None,
    ) -> None:
        weights = {
            "mismatch": mismatch_weight,
            "contrastive": contrastive_weight,
            "generator": generator_weight,
        }
        for name, weight in weights.items():
            if weight < 0:
                raise ValueError(f"model.auxiliary.{name}_weight={weight}: must be 0 or more.")
        if temperature <= 0:
            raise ValueError(f"model.auxiliary.temperature={temperature}: must be above 0.")
        if augmentation_weight is not None and augmentation_weight <= 0:
            raise ValueError(
                f"model.auxiliary.augmentation_weight={augmentation_weight}: must be above 0, or "
                "null for no augmentation."
            )
        self.loss, self.temperature = loss, temperature
        self.augmentation_weight = augmentation_weight
        self.mismatch_weight, self.contrastive_weight = mismatch_weight, contrastive_weight
        self.generator_weight = generator_weight

    def discriminator(self, real: Matched, fake: Matched, *, labels: Tensor) -> dict[str, Tensor]:
        """Return D's losses (B,) by name, of images with the texts `labels` int64 (B, L)."""
        losses = {}
        if self.mismatch_weight > 0:
            differs = (labels != labels.roll(1, 0)).any(1)
            wrong = self.loss.discriminator(real.logits, real.wrong_logits)
            losses["mismatch"] = self.mismatch_weight * wrong * differs
        if self.contrastive_weight > 0:
            values = contrastive(real, labels, temperature=self.temperature)
            losses["contrastive"] = self.contrastive_weight * values
        return losses

    def generator(self, fake: Matched, *, labels: Tensor) -> dict[str, Tensor]:
        """Return G's losses (B,) by name, of images of the texts `labels` int64 (B, L)."""
        if self.generator_weight == 0:
            return {}
        values = contrastive(fake, labels, temperature=self.temperature)
        return {"contrastive": self.generator_weight * values}


def contrastive(matched: Matched, texts: Tensor, *, temperature: float) -> Tensor:
    """Return the contrastive losses (B,) in nats, half for the text and half for the image.

    Args:
        matched: Codes of B images and of their texts.
        texts: Texts int64 (B, L), which tell what texts are equal.
        temperature: Divisor of the cosines.
    """
    images = normalize(matched.image_codes.float(), dim=1)
    cosines = images @ matched.text_codes.float().T / temperature
    equal = (texts[:, None] == texts[None]).all(2)
    others = equal & ~torch.eye(len(texts), dtype=torch.bool, device=texts.device)
    cosines = cosines.float().masked_fill(others, -torch.inf)
    right = cosines.diagonal()
    return (cosines.logsumexp(1) + cosines.logsumexp(0)) / 2 - right
