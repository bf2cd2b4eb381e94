"""Penalties on the gradient of D's logit with respect to its input.

`limner.losses.penalty.Weighted` multiplies each by a weight, the paper's lambda or gamma.
"""

__all__ = ["R1", "R2", "GradientPenalty"]

import torch
from torch import Tensor

from limner.losses.pair_noise import NUM_SEEDS, normal_noise
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

    With `approximate`, D is called once more, but no gradient of a gradient is needed:

        1/2 (D(x + sigma n) - D(x))^2 / sigma^2,  n ~ N(0, I) per image

    For a small sigma the mean over n is the exact penalty. The value of a single n varies, with a
    standard deviation of about sqrt(2) times the penalty. Written from the paper of Lin et al.
    (2025), https://arxiv.org/abs/2501.08316, which leaves out the factor 1 / (2 sigma^2).

    Args:
        approximate: sigma, in [1e-5, 10], in the units of the images, which are in [-1, 1]; None
            for the exact penalty. Rounding errors of the logits are divided by sigma too.
    """

    auto_weight = AUTO_WEIGHT
    forbids_batch_norm = True

    def __init__(self, *, approximate: float | None) -> None:
        if approximate is not None and not 1e-5 <= approximate <= 10:
            raise ValueError(
                f"model.penalty...function.approximate={approximate}: must be in [1e-5, 10], or "
                "null for the exact penalty."
            )
        self.approximate = approximate

    @property
    def num_draws(self) -> int:
        """Number of random numbers for each pair."""
        return 0 if self.approximate is None else NUM_SEEDS

    def __call__(self, d: Discriminator, pairs: Pairs, *, uniform: Tensor) -> Tensor:
        """Return the penalty (B,)."""
        return self._at(pairs.real, pairs.real_logits, d, uniform)

    def _at(self, images: Tensor, logits: Tensor, d: Discriminator, uniform: Tensor) -> Tensor:
        if self.approximate is None:
            return 0.5 * _gradient(logits, images).square().sum(1)
        images = images.detach()
        noise = normal_noise(uniform, images.shape[1:]).to(images)
        near = d(images + self.approximate * noise)
        change = near.to(images) - logits.to(images)  # autocast may give bfloat16
        return 0.5 * (change.reshape(len(images), -1).mean(1) / self.approximate).square()


class R2(R1):
    """1/2 || grad_x D(x) ||^2  at fake x (equation 10 of the same paper); see `R1`."""

    def __call__(self, d: Discriminator, pairs: Pairs, *, uniform: Tensor) -> Tensor:
        """Return the penalty (B,)."""
        return self._at(pairs.fake, pairs.fake_logits, d, uniform)


def _gradient(logits: Tensor, images: Tensor) -> Tensor:
    """Return the gradient (B, C * H * W) of each logit with respect to its own image.

    If an image has K logits, (B, K), this is the gradient of their mean.
    """
    (gradient,) = torch.autograd.grad(logits.sum(0).mean(), images, create_graph=True)
    return gradient.flatten(1)
