"""p(x | z): how the decoder's output `params` is read as a distribution of images (B, C, H, W).

`params` are (B, C * params_per_value, H, W): the first `params_per_value` channels are those of
the image's first channel, and so on. `log_prob(params, images)` sums over pixels and channels and
gives nats for each image, (B,); `mean(params)` is the expected image in [-1, 1]. `is_density`
tells a density over real values from a probability of discrete ones, which bits per dimension
need to know. `check(images)` raises ValueError for images that the likelihood cannot read; it
waits for the device, so it is for a first batch and not for every one.

They are modules since some (`limner.losses.gaussian_likelihood`) carry what is learned; the
likelihoods of this file have neither weights nor buffers. `limner.losses.logistic` reads images as
256 grey levels.
"""

__all__ = ["Bernoulli", "GaussianLikelihood", "check_range"]

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from limner.losses.gaussian import gaussian_log_prob


class Bernoulli(nn.Module):
    """Each channel of each pixel is a coin with P(1) = sigmoid(params); grey values are P too.

    log p(x | z) = sum  t log s(params) + (1 - t) log(1 - s(params)),   t = (x + 1) / 2

    Kingma and Welling (2014), appendix C.1, https://arxiv.org/abs/1312.6114. For grey images this
    is no density: it compares with other models under the same likelihood only.
    """

    is_density = False
    params_per_value = 1

    def __init__(self) -> None:
        super().__init__()

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor:
        targets = (images + 1) / 2
        bce = binary_cross_entropy_with_logits(params, targets, reduction="none")
        return -bce.flatten(1).sum(1)

    def mean(self, params: Tensor) -> Tensor:
        return 2 * torch.sigmoid(params) - 1

    def check(self, images: Tensor) -> None:
        check_range(images, "bernoulli")


class GaussianLikelihood(nn.Module):
    """Independent normal pixels around params, of one fixed standard deviation.

    log p(x | z) = sum  -(x - params)^2 / (2 sigma^2) - log sigma - log(2 pi) / 2

    Args:
        sigma: Standard deviation, in units of images in [-1, 1] (one grey level is 2/255).
    """

    is_density = True
    params_per_value = 1

    def __init__(self, *, sigma: float) -> None:
        if sigma <= 0:
            raise ValueError(f"model.likelihood.sigma={sigma}: a standard deviation is above 0.")
        super().__init__()
        self.sigma = sigma

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor:
        squares = (images - params).square().flatten(1).sum(1) / self.sigma**2
        num_values = math.prod(images.shape[1:])
        return gaussian_log_prob(squares, 2 * math.log(self.sigma), num_values=num_values)

    def mean(self, params: Tensor) -> Tensor:
        return params.clamp(-1, 1)

    def check(self, images: Tensor) -> None:
        """Every real value has a density."""


def check_range(images: Tensor, name: str) -> None:
    """Raises ValueError if a value lies outside [-1, 1] by more than rounding.

    Args:
        images: Of any shape.
        name: Of the likelihood in conf/, for the message.
    """
    low, high = images.min().item(), images.max().item()
    if not (low >= -1.0001 and high <= 1.0001):  # written so that nan is refused too
        raise ValueError(
            f"model/likelihood={name} reads images in [-1, 1], but a batch has values from "
            f"{low:.4g} to {high:.4g}: change data.augmentation, or take model/likelihood=gaussian"
        )
