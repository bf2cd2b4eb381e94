"""Log-density of the normal distribution, used by every Gaussian term."""

__all__ = ["gaussian_log_prob", "normal_log_prob"]

import math

from torch import Tensor

LOG_2PI = math.log(2 * math.pi)


def gaussian_log_prob(squares: Tensor, logvar: Tensor | float, *, num_values: int = 1) -> Tensor:
    """Return the log-density of normal values in nats, of the shape of `squares`.

    -(squares + num_values (logvar + log(2 pi))) / 2

    Args:
        squares: ((x - mean) / sigma)^2, summed over the values that share a variance.
        logvar: log(sigma^2), a number or a tensor that broadcasts with `squares`.
        num_values: Number of values that each entry of `squares` sums over.
    """
    return -0.5 * (squares + num_values * (logvar + LOG_2PI))


def normal_log_prob(z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """Return log N(z; mean, exp(logvar)) in nats, summed over the last dimension.

    Together with the log-density of a prior it estimates a KL that has no closed form:
    KL(q || p) = E_q[log q(z | x) - log p(z)].
    """
    squares = (z - mean).square() * (-logvar).exp()
    return gaussian_log_prob(squares, logvar).sum(-1)
