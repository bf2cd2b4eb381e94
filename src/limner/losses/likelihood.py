"""p(x | z): how the decoder's output `params` (B, C, H, W) is read as a distribution of images.

`log_prob(params, images)` sums over pixels and channels and gives nats for each image, (B,);
`mean(params)` is the expected image in [-1, 1]. `is_density` tells a density over real values
from a probability of discrete ones, which bits per dimension need to know.
"""

__all__ = ["Bernoulli", "Gaussian"]

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


class Bernoulli:
    """Each channel of each pixel is a coin with P(1) = sigmoid(params); grey values are P too.

    log p(x | z) = sum  t log s(params) + (1 - t) log(1 - s(params)),   t = (x + 1) / 2

    Kingma and Welling (2014), appendix C.1, https://arxiv.org/abs/1312.6114. For grey images this
    is no density: it compares with other models under the same likelihood only.
    """

    is_density = False

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor:
        targets = (images + 1) / 2
        bce = binary_cross_entropy_with_logits(params, targets, reduction="none")
        return -bce.flatten(1).sum(1)

    def mean(self, params: Tensor) -> Tensor:
        return 2 * torch.sigmoid(params) - 1


class Gaussian:
    """Independent normal pixels around params, of one fixed standard deviation.

    log p(x | z) = sum  -(x - params)^2 / (2 sigma^2) - log sigma - log(2 pi) / 2

    Args:
        sigma: Standard deviation, in units of images in [-1, 1] (one grey level is 2/255).
    """

    is_density = True

    def __init__(self, *, sigma: float) -> None:
        if sigma <= 0:
            raise ValueError(f"model.likelihood.sigma={sigma}: a standard deviation is above 0.")
        self.sigma = sigma

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor:
        squares = (images - params).square().flatten(1).sum(1) / (2 * self.sigma**2)
        constant = math.prod(images.shape[1:]) * (math.log(self.sigma) + math.log(2 * math.pi) / 2)
        return -squares - constant

    def mean(self, params: Tensor) -> Tensor:
        return params.clamp(-1, 1)
