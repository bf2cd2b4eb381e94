"""KL divergences between distributions of latent codes."""

__all__ = ["kl_dimensions", "kl_standard_normal"]

from torch import Tensor


def kl_standard_normal(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return KL(N(mean, exp(logvar)) || N(0, I)) in nats, (B,), of codes (B, D).

    1/2 sum_d  mean_d^2 + exp(logvar_d) - logvar_d - 1

    Kingma and Welling (2014), appendix B, https://arxiv.org/abs/1312.6114.
    """
    return kl_dimensions(mean, logvar).sum(1)


def kl_dimensions(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return the KL of each dimension, (B, D), in nats; see `kl_standard_normal`."""
    return 0.5 * (mean.square() + logvar.exp() - logvar - 1)
