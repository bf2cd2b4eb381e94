"""Penalties on the discriminator's gradient with respect to its input.

A penalty is called with (discriminator, real, fake, uniform=...) and returns one value for each
pair, (B,), already weighted. `uniform` (B, num_draws) are the numbers from U[0, 1] that it needs:
whoever calls it draws them, so that they belong to the pair and not to the process.
"""

__all__ = ["GradientPenalty"]

from collections.abc import Callable

import torch
from torch import Tensor


class GradientPenalty:
    """Gulrajani et al. (2017), equation 3, https://arxiv.org/abs/1704.00028.

    weight * (|| grad_x D(x) ||_2 - 1)^2  at  x = u x_real + (1 - u) x_fake,  u ~ U[0, 1] per pair

    Args:
        weight: The paper's lambda, 10 there.
    """

    forbids_batch_norm = True
    num_draws = 1

    def __init__(self, *, weight: float) -> None:
        self.weight = weight

    def __call__(
        self,
        discriminator: Callable[[Tensor], Tensor],
        real: Tensor,
        fake: Tensor,
        *,
        uniform: Tensor,
    ) -> Tensor:
        """Penalties (B,) of images `real` and `fake` (B, C, H, W), mixed by `uniform` (B, 1)."""
        between = torch.lerp(fake, real, uniform[..., None, None]).requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
        return self.weight * (gradient.flatten(1).norm(dim=1) - 1).square()
