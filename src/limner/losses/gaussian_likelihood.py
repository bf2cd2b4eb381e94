"""Gaussian likelihoods that learn their standard deviation: the sigma-VAE.

    log p(x | z) = sum  -(x - params)^2 / (2 sigma^2) - log sigma - log(2 pi) / 2

Rybkin et al. (2021), https://arxiv.org/abs/2006.13202, with one sigma for all values. With a KL
weight of 1, sigma balances the two terms of the bound, which otherwise needs tuning by hand.
"""

__all__ = ["LearnedGaussian", "OptimalGaussian"]

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from limner.losses.gaussian import gaussian_log_prob

MIN_SIGMA = 1 / 255  # half a grey level; a smaller sigma means nothing for 256 levels


class LearnedGaussian(nn.Module):
    """Gaussian likelihood whose `log_sigma` is a parameter, trained with the networks.

    Args:
        initial_sigma: Initial sigma, above 0, in units of images in [-1, 1].
    """

    is_density = True
    params_per_value = 1

    def __init__(self, *, initial_sigma: float) -> None:
        if initial_sigma <= 0:
            raise ValueError(
                f"model.likelihood.initial_sigma={initial_sigma}: must be above 0 (a standard "
                "deviation)."
            )
        super().__init__()
        self.log_sigma = nn.Parameter(torch.tensor(math.log(initial_sigma)))

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor:
        """Return log p(x | z) (B,) in nats."""
        return _log_prob(params, images, 2 * self.log_sigma)

    def mean(self, params: Tensor) -> Tensor:
        """Return the expected images (B, C, H, W) in [-1, 1]."""
        return params.clamp(-1, 1)

    def check(self, images: Tensor) -> None:
        """Accept any images: every real value has a density."""


class OptimalGaussian(nn.Module):
    """Gaussian likelihood with the optimal sigma of each batch, in closed form.

    sigma^2 = 1/(B D) sum_{images, values} (x - params)^2 for images of D values. The batch mean of
    log p(x | z) is then -D (log sigma + log(2 pi) / 2 + 1/2).

    The gradient treats sigma as a constant. This does not change the gradient of the batch mean,
    whose derivative with respect to sigma is 0. Several processes use one sigma, computed from all
    their batches.

    Evaluation needs a fixed model: a sigma fitted to the scored images would not give a bound of
    log p(x). So evaluation mode uses a running average over the training batches, kept in a
    buffer. The bound is then a little lower than the bound of the training batches, mainly while
    sigma still falls.

    Args:
        half_life: Number of images, above 0, after which an old batch counts half in the running
            average. If an image has several codes, each code counts as an image.
    """

    is_density = True
    params_per_value = 1
    variance: Tensor
    num_images: Tensor

    def __init__(self, *, half_life: float) -> None:
        if half_life <= 0:
            raise ValueError(f"model.likelihood.half_life={half_life}: must be above 0.")
        super().__init__()
        self.half_life = half_life
        self.register_buffer("variance", torch.ones(()))
        self.register_buffer("num_images", torch.zeros((), dtype=torch.int64))

    def log_prob(
        self, params: Tensor, images: Tensor, *, variance: Tensor | None = None
    ) -> Tensor:
        """Return log p(x | z) (B,); `variance` () defaults to the running average."""
        variance = self.variance if variance is None else variance
        return _log_prob(params, images, variance.log())

    @torch.no_grad()
    def mean_square(self, params: Tensor, images: Tensor) -> Tensor:
        """Return the mean squared error of a batch, ()."""
        return (images - params).float().square().mean()

    def mean(self, params: Tensor) -> Tensor:
        """Return the expected images (B, C, H, W) in [-1, 1]."""
        return params.clamp(-1, 1)

    def check(self, images: Tensor) -> None:
        """Accept any images: every real value has a density."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "OptimalGaussian":
        """Keep the average float32; half precision would round its small changes to 0."""
        super()._apply(fn, recurse)
        self.variance = self.variance.float()
        return self

    @torch.no_grad()
    def follow(self, mean_square: Tensor, *, num_images: int) -> Tensor:
        """Update the running average, and return the optimal variance of the batch, ().

        The average is a plain mean until `half_life` images were seen.

        Args:
            mean_square: Mean squared error () of the batch, over all processes.
            num_images: Number of images in the batch, over all processes.
        """
        variance = mean_square.clamp_min(MIN_SIGMA**2)
        self.num_images += num_images
        share = (num_images / self.num_images).clamp_min(1 - 0.5 ** (num_images / self.half_life))
        self.variance.lerp_(variance.to(self.variance), share.to(self.variance))
        return variance


def _log_prob(params: Tensor, images: Tensor, logvar: Tensor) -> Tensor:
    squares = (images - params).square().flatten(1).sum(1) / logvar.exp()
    return gaussian_log_prob(squares, logvar, num_values=math.prod(images.shape[1:]))
