"""Consistency regularisation: D should give an image and an augmented copy the same logit."""

__all__ = ["Consistency"]


from torch import Tensor

from limner.interfaces import Augmentation, trait
from limner.losses.penalty import Discriminator, Pairs


class Consistency:
    """bCR, Zhao et al. (2020), algorithm 1, https://arxiv.org/abs/2002.04724.

    (D(x) - D(T(x)))^2 + (D(G(z)) - D(T(G(z))))^2

    Args:
        augmentation: The augmentation T, which must not change the meaning of an image.
    """

    forbids_batch_norm = False

    def __init__(self, *, augmentation: Augmentation) -> None:
        self.augmentation = augmentation

    @property
    def num_draws(self) -> int:
        """Number of random numbers for each pair."""
        return 2 * trait(self.augmentation, Augmentation, "num_draws")

    def __call__(self, d: Discriminator, pairs: Pairs, *, uniform: Tensor) -> Tensor:
        """Return the penalty (B,)."""
        for_real, for_fake = uniform.chunk(2, dim=1)
        real = d(self.augmentation(pairs.real.detach(), uniform=for_real))
        fake = d(self.augmentation(pairs.fake.detach(), uniform=for_fake))
        of_real = (pairs.real_logits.float() - real.float()).square()
        return of_real + (pairs.fake_logits.float() - fake.float()).square()
