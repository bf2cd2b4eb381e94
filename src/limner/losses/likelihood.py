"""p(x | z): how the decoder's output `params` is read as a distribution of images (B, C, H, W).

`params` are (B, C * params_per_value, H, W): the first `params_per_value` channels are those of
the image's first channel, and so on. `log_prob(params, images)` sums over pixels and channels and
gives nats for each image, (B,); `mean(params)` is the expected image in [-1, 1]. `is_density`
tells a density over real values from a probability of discrete ones, which bits per dimension
need to know. `check(images)` raises ValueError for images that the likelihood cannot read; it
waits for the device, so it is for a first batch and not for every one.

They are modules since some carry what is learned; the others have neither weights nor buffers.
"""

__all__ = ["Bernoulli", "Gaussian", "LearnedGaussian", "OptimalGaussian", "check_range"]

import math

import torch
from torch import Tensor, distributed, nn
from torch.nn.functional import binary_cross_entropy_with_logits

MIN_SIGMA = 1 / 255  # half a grey level, below which a density of 256 levels means nothing


class Bernoulli(nn.Module):
    """Each channel of each pixel is a coin with P(1) = sigmoid(params); grey values are P too.

    log p(x | z) = sum  t log s(params) + (1 - t) log(1 - s(params)),   t = (x + 1) / 2

    Kingma and Welling (2014), appendix C.1, https://arxiv.org/abs/1312.6114. For grey images this
    is no density: it compares with other models under the same likelihood only.
    """

    is_density = False
    params_per_value = 1

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor:
        targets = (images + 1) / 2
        bce = binary_cross_entropy_with_logits(params, targets, reduction="none")
        return -bce.flatten(1).sum(1)

    def mean(self, params: Tensor) -> Tensor:
        return 2 * torch.sigmoid(params) - 1

    def check(self, images: Tensor) -> None:
        check_range(images, "bernoulli")


class Gaussian(nn.Module):
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
        squares = (images - params).square().flatten(1).sum(1) / (2 * self.sigma**2)
        constant = math.prod(images.shape[1:]) * (math.log(self.sigma) + math.log(2 * math.pi) / 2)
        return -squares - constant

    def mean(self, params: Tensor) -> Tensor:
        return params.clamp(-1, 1)

    def check(self, images: Tensor) -> None:
        """Every real value has a density."""


class LearnedGaussian(nn.Module):
    """As `Gaussian`, with one standard deviation for all values that is trained with the rest.

    The sigma-VAE of Rybkin et al. (2021), with a shared variance, https://arxiv.org/abs/2006.13202.
    Where the KL's weight is 1, sigma finds the balance of the two terms that kl_weight sets by
    hand. `log_sigma` is a parameter: whoever trains the networks trains it too.

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
        return _normal_log_prob(params, images, self.log_sigma)

    def mean(self, params: Tensor) -> Tensor:
        return params.clamp(-1, 1)

    def check(self, images: Tensor) -> None:
        """Every real value has a density."""


class OptimalGaussian(nn.Module):
    """As `Gaussian`, with the standard deviation that is best for the batch, in closed form.

    sigma^2 = 1/(B D) sum_{images, values} (x - params)^2, so that the batch's mean of log p(x | z)
    is -D (log sigma + log(2 pi) / 2 + 1/2), of D values in an image. The optimal sigma-VAE of
    Rybkin et al. (2021), https://arxiv.org/abs/2006.13202.

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

    def log_prob(self, params: Tensor, images: Tensor) -> Tensor:
        variance = self.variance
        if self.training:
            variance = _mean_square(images - params).clamp_min(MIN_SIGMA**2)
            self._follow(variance, len(images) * _num_processes())
        return _normal_log_prob(params, images, variance.log() / 2)

    def mean(self, params: Tensor) -> Tensor:
        return params.clamp(-1, 1)

    def check(self, images: Tensor) -> None:
        """Every real value has a density."""

    @torch.no_grad()
    def _follow(self, variance: Tensor, num_images: int) -> None:
        """An average in which the first batches all count alike, until half_life is reached."""
        self.num_images += num_images
        share = (num_images / self.num_images).clamp_min(1 - 0.5 ** (num_images / self.half_life))
        self.variance.lerp_(variance.to(self.variance), share.to(self.variance))


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


def _normal_log_prob(params: Tensor, images: Tensor, log_sigma: Tensor) -> Tensor:
    squares = (images - params).square().flatten(1).sum(1) / (2 * (2 * log_sigma).exp())
    return -squares - math.prod(images.shape[1:]) * (log_sigma + math.log(2 * math.pi) / 2)


@torch.no_grad()
def _mean_square(errors: Tensor) -> Tensor:
    """Over everything, and over all processes, whose batches are of one size."""
    mean = errors.float().square().mean()
    if _num_processes() > 1:
        distributed.all_reduce(mean)
        mean /= _num_processes()
    return mean


def _num_processes() -> int:
    grouped = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if grouped else 1
