"""Penalties on the gradient of D's logit with respect to its input.

`limner.losses.penalty.Weighted` multiplies each by a weight, the paper's lambda or gamma.
"""

__all__ = ["R1", "R2", "GradientPenalty"]

import torch
from torch import Tensor

from limner.losses.penalty import Discriminator, Pairs

AUTO_WEIGHT = 2e-4
"""Gamma of weight=auto for images of one pixel and steps of one image, see `Weighted.fit_to`."""


class GradientPenalty:
    """WGAN-GP, Gulrajani et al. (2017), equation 3, https://arxiv.org/abs/1704.00028.

    (|| grad_x D(x) ||_2 - 1)^2  at  x = u x_real + (1 - u) x_fake,  u ~ U[0, 1] per pair
    """

    forbids_batch_norm, num_draws = True, 1

    def __call__(self, d: Discriminator, pairs: Pairs, *, uniform: Tensor) -> Tensor:
        """Return the penalty (B,) at a random point between each pair."""
        # not a leaf: torch.compile cannot capture `requires_grad_` on a tensor that it computes
        between = torch.lerp(pairs.fake, pairs.real, uniform.to(pairs.real)[..., None, None])
        return (_gradient(d(between), between).norm(dim=1) - 1).square()


class R1:
    """1/2 || grad_x D(x) ||^2  at real x.

    Mescheder et al. (2018), equation 9, https://arxiv.org/abs/1801.04406; the weight is gamma.
    """

    forbids_batch_norm, num_draws = True, 0
    auto_weight = AUTO_WEIGHT

    def __call__(self, d: Discriminator, pairs: Pairs, *, uniform: Tensor) -> Tensor:
        """Return the penalty (B,)."""
        return 0.5 * _gradient(pairs.real_logits, pairs.real).square().sum(1)


class R2:
    """1/2 || grad_x D(x) ||^2  at fake x (equation 10 of the same paper)."""

    forbids_batch_norm, num_draws = True, 0
    auto_weight = AUTO_WEIGHT

    def __call__(self, d: Discriminator, pairs: Pairs, *, uniform: Tensor) -> Tensor:
        """Return the penalty (B,)."""
        return 0.5 * _gradient(pairs.fake_logits, pairs.fake).square().sum(1)


def _gradient(logits: Tensor, images: Tensor) -> Tensor:
    """Return the gradient (B, C * H * W) of each logit with respect to its own image.

    If an image has K logits, (B, K), this is the gradient of their mean.
    """
    (gradient,) = torch.autograd.grad(logits.sum(0).mean(), images, create_graph=True)
    return gradient.flatten(1)
