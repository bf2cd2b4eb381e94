"""The class loss that a GAN adds to its adversarial loss if D predicts classes."""

__all__ = ["AuxiliaryClassifier"]

from torch import Tensor
from torch.nn.functional import cross_entropy


class AuxiliaryClassifier:
    """AC-GAN, Odena et al. (2017), section 3, https://arxiv.org/abs/1610.09585.

    D: weight * (-log P(y | x) - log P(y | G(z, y)))        G: weight * -log P(y | G(z, y))

    Values are in nats per image, (B,). Class logits are (B, K) on any scale; labels are int64 (B,)
    in [0, K). Each fake image is generated for the class of its real image.

    Args:
        weight: Factor of the class loss, above 0; 1 in the paper.
    """

    def __init__(self, *, weight: float) -> None:
        if weight <= 0:
            raise ValueError(
                f"The weight of the auxiliary classifier is {weight}: must be above 0."
            )
        self.weight = weight

    def generator(self, fake_logits: Tensor, *, labels: Tensor) -> Tensor:
        """Return G's losses (B,) of D's class logits (B, K) for fake images."""
        return self.weight * cross_entropy(fake_logits, labels, reduction="none")

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor, *, labels: Tensor) -> Tensor:
        """Return D's losses (B,) of its class logits (B, K) for real and fake images."""
        real = cross_entropy(real_logits, labels, reduction="none")
        return self.weight * real + self.generator(fake_logits, labels=labels)
