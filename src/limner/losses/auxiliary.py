"""What the players minimise beside the adversarial loss where D guesses classes, too."""

__all__ = ["AuxiliaryClassifier"]

from torch import Tensor
from torch.nn.functional import cross_entropy


class AuxiliaryClassifier:
    """AC-GAN, Odena et al. (2017), section 3, https://arxiv.org/abs/1610.09585.

    D: weight * (-log P(y | x) - log P(y | G(z, y)))        G: weight * -log P(y | G(z, y))

    Values are in nats for each image, (B,). Class logits are (B, K), of any scale; labels int64
    (B,) in [0, K). A fake image is made for the class of the real one beside it.

    Args:
        weight: Factor of the class term, above 0; 1 in the paper.
    """

    def __init__(self, *, weight: float) -> None:
        if weight <= 0:
            raise ValueError(f"The weight of the auxiliary classifier is {weight}: above 0.")
        self.weight = weight

    def generator(self, fake_logits: Tensor, *, labels: Tensor) -> Tensor:
        return self.weight * cross_entropy(fake_logits, labels, reduction="none")

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor, *, labels: Tensor) -> Tensor:
        real = cross_entropy(real_logits, labels, reduction="none")
        return self.weight * real + self.generator(fake_logits, labels=labels)
