"""Likelihoods p(x | z): distributions of images (B, C, H, W) given the output of the decoder.

The decoder's output `params` is (B, C * params_per_value, H, W). Its first `params_per_value`
channels belong to the first channel of the image, and so on. Every likelihood has

    log_prob(params, images)    log p(x | z) in nats, (B,), summed over pixels and channels
    mean(params)                expected images in [-1, 1]
    is_density                  whether p is a density of real values, or the probability of
                                discrete values; bits per dimension depend on it
    check(images)               raises ValueError for images outside the domain of p; it waits for
                                the device, so it is called for the first batch only

A likelihood of discrete values also has

    level_log_probs(params)     log P of each of K evenly spaced levels -1 ... 1, (B, C, K, H, W)

Images may also be sequences of frames (B, T, C, H, W), with params (B, T, C * params_per_value, H,
W). The likelihoods of this file, of `gaussian_likelihood` and of `logistic` sum log p over frames.

Likelihoods are modules, since some have learned parameters (`limner.losses.gaussian_likelihood`).
The likelihoods of this file have neither weights nor buffers. `limner.losses.logistic` and
`limner.losses.categorical` read images as grey levels.
"""

__all__ = ["Bernoulli", "GaussianLikelihood", "check_range"]

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from limner.losses.gaussian import gaussian_log_prob


class Bernoulli(nn.Module):
    """Bernoulli likelihood of each value, with P(1) = sigmoid(params).

    log p(x | z) = sum  t log s(params) + (1 - t) log(1 - s(params)),   t = (x + 1) / 2

    Kingma and Welling (2014), appendix C.1, https://arxiv.org/abs/1312.6114. For a grey value, t
    is between 0 and 1, and log p is not the logarithm of a density. Compare its values only with
    values of other Bernoulli likelihoods.
    """

    is_density = False
    params_per_value = 1

    def __init__(self) -> None:
        super().__init__()

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor:
        """Return log p(x | z) (B,) in nats."""
        targets = (images + 1) / 2
        bce = binary_cross_entropy_with_logits(params, targets, reduction="none")
        return -bce.flatten(1).sum(1)

    def mean(self, params: Tensor) -> Tensor:
        """Return the expected images (B, C, H, W) in [-1, 1]."""
        return 2 * torch.sigmoid(params) - 1

    def level_log_probs(self, params: Tensor) -> Tensor:
        """Return log P of the levels -1 and 1, (B, C, 2, H, W)."""
        return torch.stack([logsigmoid(-params), logsigmoid(params)], dim=2)

    def check(self, images: Tensor) -> None:
        """Raise ValueError for images outside [-1, 1]."""
        check_range(images, "bernoulli")


class GaussianLikelihood(nn.Module):
    """Independent normal values with mean `params` and one fixed standard deviation.

    log p(x | z) = sum  -(x - params)^2 / (2 sigma^2) - log sigma - log(2 pi) / 2

    Args:
        sigma: Standard deviation, above 0, for images in [-1, 1]; one grey level is 2/255.
    """

    is_density = True
    params_per_value = 1

    def __init__(self, *, sigma: float) -> None:
        if sigma <= 0:
            raise ValueError(
                f"model.likelihood.sigma={sigma}: must be above 0 (a standard deviation)."
            )
        super().__init__()
        self.sigma = sigma

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor:
        """Return log p(x | z) (B,) in nats."""
        squares = (images - params).square().flatten(1).sum(1) / self.sigma**2
        num_values = math.prod(images.shape[1:])
        return gaussian_log_prob(squares, 2 * math.log(self.sigma), num_values=num_values)

    def mean(self, params: Tensor) -> Tensor:
        """Return the expected images (B, C, H, W) in [-1, 1]."""
        return params.clamp(-1, 1)

    def check(self, images: Tensor) -> None:
        """Accept any images: every real value has a density."""


def check_range(images: Tensor, name: str) -> None:
    """Raise ValueError if a value lies outside [-1, 1] by more than rounding.

    Args:
        images: Images of any shape.
        name: Name of the likelihood in conf/, for the message.
    """
    low, high = images.min().item(), images.max().item()
    if not (low >= -1.0001 and high <= 1.0001):  # written so that nan is refused too
        raise ValueError(
            f"model/likelihood={name} reads images in [-1, 1], but a batch has values from "
            f"{low:.4g} to {high:.4g}: change data.augmentation, or choose "
            "model/likelihood=gaussian"
        )
