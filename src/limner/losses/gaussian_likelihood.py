"""Gaussian likelihoods that find their standard deviation themselves: the sigma-VAE.

    log p(x | z) = sum  -(x - params)^2 / (2 sigma^2) - log sigma - log(2 pi) / 2

Rybkin et al. (2021), https://arxiv.org/abs/2006.13202, with one sigma for all values. Where the
KL's weight is 1, sigma finds the balance of the two terms of the bound that is otherwise set by
hand.
"""

__all__ = ["LearnedGaussian", "OptimalGaussian"]

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from limner.losses.gaussian import gaussian_log_prob

MIN_SIGMA = 1 / 255  # half a grey level, below which a density of 256 levels means nothing


class LearnedGaussian(nn.Module):
    """Sigma is a parameter: whoever trains the networks trains `log_sigma` too.

    Args:
        initial_sigma: Where training starts, in units of images in [-1, 1].
    """

    is_density = True
    params_per_value = 1

    def __init__(self, *, initial_sigma: float) -> None:
        if initial_sigma <= 0:
            raise ValueError(
                f"model.likelihood.initial_sigma={initial_sigma}: a standard deviation is above 0."
            )
        super().__init__()
        self.log_sigma = nn.Parameter(torch.tensor(math.log(initial_sigma)))

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor:
        return _log_prob(params, images, 2 * self.log_sigma)

    def mean(self, params: Tensor) -> Tensor:
        return params.clamp(-1, 1)

    def check(self, images: Tensor) -> None:
        """Every real value has a density."""


class OptimalGaussian(nn.Module):
    """Sigma is the best for the batch, in closed form.

    sigma^2 = 1/(B D) sum_{images, values} (x - params)^2, so that the batch's mean of log p(x | z)
    is -D (log sigma + log(2 pi) / 2 + 1/2), of D values in an image.

    Sigma counts as a constant in the gradient, which changes nothing for the mean over the batch
    (its derivative there is 0). Of several processes all batches together decide.

    What is bounded: a sigma fitted to the images that are scored would bound no model's log p(x).
    So evaluation mode takes the average of the training batches, kept in a buffer, and the bound
    is one on a fixed model, as for any other likelihood. It is a little lower than the training
    batches', the more so while sigma still falls.

    Args:
        half_life: Images after which an old batch counts half in that average, above 0. Of several
            codes for an image each counts.
    """

    is_density = True
    params_per_value = 1
    variance: Tensor
    num_images: Tensor

    def __init__(self, *, half_life: float) -> None:
        if half_life <= 0:
            raise ValueError(f"model.likelihood.half_life={half_life}: images, above 0.")
        super().__init__()
        self.half_life = half_life
        self.register_buffer("variance", torch.ones(()))
        self.register_buffer("num_images", torch.zeros((), dtype=torch.int64))

    def log_prob(
        self, params: Tensor, images: Tensor, *, variance: Tensor | None = None
    ) -> Tensor:
        """Return log p(x | z) (B,), with the running average where no `variance` () is given."""
        variance = self.variance if variance is None else variance
        return _log_prob(params, images, variance.log())

    @torch.no_grad()
    def mean_square(self, params: Tensor, images: Tensor) -> Tensor:
        """Return the mean squared error of a batch, ()."""
        return (images - params).float().square().mean()

    def mean(self, params: Tensor) -> Tensor:
        return params.clamp(-1, 1)

    def check(self, images: Tensor) -> None:
        """Every real value has a density."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "OptimalGaussian":
        """Stays float32 where the rest does not, which would round the average's steps away."""
        super()._apply(fn, recurse)
        self.variance = self.variance.float()
        return self

    @torch.no_grad()
    def follow(self, mean_square: Tensor, *, num_images: int) -> Tensor:
        """Move the running average by a batch, and return the best variance for the batch, ().

        In the average the first batches all count alike, until half_life is reached.

        Args:
            mean_square: The mean squared error of the batch, over all processes.
            num_images: Images in the batch, over all processes.
        """
        variance = mean_square.clamp_min(MIN_SIGMA**2)
        self.num_images += num_images
        share = (num_images / self.num_images).clamp_min(1 - 0.5 ** (num_images / self.half_life))
        self.variance.lerp_(variance.to(self.variance), share.to(self.variance))
        return variance


def _log_prob(params: Tensor, images: Tensor, logvar: Tensor) -> Tensor:
    squares = (images - params).square().flatten(1).sum(1) / logvar.exp()
    return gaussian_log_prob(squares, logvar, num_values=math.prod(images.shape[1:]))
