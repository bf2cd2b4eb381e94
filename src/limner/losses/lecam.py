"""LeCam regularisation: keeps D's logits near moving averages."""

__all__ = ["LeCam"]

import torch
from torch import Tensor, nn

from limner.interfaces import DiscriminatorStatistics
from limner.losses.penalty import Discriminator, Pairs


class LeCam(nn.Module):
    """LeCam penalty of Tseng et al. (2021), equation 4, https://arxiv.org/abs/2104.03310.

    (D(x) - a_fake)^2 + (D(G(z)) - a_real)^2

    a_real and a_fake are moving averages of D's mean logits in the earlier steps, and 0 before the
    first step. After t steps, a <- c a + (1 - c) mean with c = min(decay, t / (t + 1)), so that
    the average of the first steps is the plain mean.

    Args:
        decay: Decay of the averages per step, in [0, 1); 0.99 in the paper.
    """

    forbids_batch_norm, num_draws = False, 0

    def __init__(self, *, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"model.penalty.lecam.function.decay={decay}: must be in [0, 1).")
        super().__init__()
        self.decay = decay
        self.register_buffer("real", torch.zeros(()))
        self.register_buffer("fake", torch.zeros(()))

    def forward(self, d: Discriminator, pairs: Pairs, *, uniform: Tensor) -> Tensor:
        """Return the penalty (B,)."""
        real, fake = pairs.real_logits.float(), pairs.fake_logits.float()
        return (real - self.fake).square() + (fake - self.real).square()

    @torch.no_grad()
    def observe(self, statistics: DiscriminatorStatistics, *, step: int, num_images: int) -> None:
        """Update the averages by the logits of D's step number `step`, counted from 0."""
        share = 1 - min(self.decay, step / (step + 1))
        self.real.lerp_(statistics.logits_real.to(self.real), share)
        self.fake.lerp_(statistics.logits_fake.to(self.fake), share)
