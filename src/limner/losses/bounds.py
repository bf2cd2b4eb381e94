"""Lower bounds of log p(x) from K codes z_k ~ q(z | x) for each image, and free bits for the KL.

    log w_k = log p(x | z_k) + log p(z_k) - log q(z_k | x)        `log_weights` (K, B), in nats

All bounds are maximised. They get tighter in this order: ELBO = IW(1) <= IW(K) <= log p(x).
"""

__all__ = [
    "LatentVariables",
    "LogWeights",
    "doubly_reparameterised",
    "elbo",
    "free_bits",
    "importance_weighted",
]

import math
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Generator, Tensor


class LogWeights(NamedTuple):
    """The two parts of log p(x|z) + log p(z) - log q(z|x) of K codes for each of B images."""

    reconstruction: Tensor
    """log p(x | z), (K, B), in nats."""
    kl: Tensor
    """log q(z | x) - log p(z), (K, B), in nats; its mean over codes estimates the KL."""


@runtime_checkable
class LatentVariables(Protocol):
    """A model p(x | z) p(z) with an approximate posterior q(z | x), which bounds log p(x)."""

    def encode(self, images: Tensor) -> Tensor:
        """Return mean codes E_q(z|x)[z] (B, D) of images (B, C, H, W) in [-1, 1]."""

    def log_weights(
        self, images: Tensor, *, num_samples: int, generator: Generator | None
    ) -> LogWeights:
        """Return the log-weights of `num_samples` codes from q(z | x) for each image."""


def elbo(log_weights: Tensor) -> Tensor:
    """Return the evidence lower bound E[log w], (B,), averaged over K codes.

    Kingma and Welling (2014), equation 2, https://arxiv.org/abs/1312.6114.
    """
    return log_weights.mean(0)


def importance_weighted(log_weights: Tensor) -> Tensor:
    """Return the bound of the importance weighted autoencoder, (B,).

    IW(K) = E[log 1/K sum_k w_k]

    Burda et al. (2016), equation 8, https://arxiv.org/abs/1509.00519.
    """
    return log_weights.logsumexp(0) - math.log(len(log_weights))


def doubly_reparameterised(log_weights: Tensor, z: Tensor) -> Tensor:
    """Return the same bound (B,) with a lower-variance gradient for the encoder (DReG).

    Let v_k = w_k / sum_j w_j. The weights of the decoder and of the prior get the usual gradient
    sum_k v_k d log w_k. The weights phi of q get sum_k v_k^2 d log w_k / d z_k d z_k / d phi:
    Tucker et al. (2019), equations 8 and 9, https://arxiv.org/abs/1810.04152. For K = 1 this is
    the gradient "sticking the landing" of Roeder et al. (2017).

    One backward pass computes both: a hook multiplies the gradient that arrives at z by v_k once
    more. For this the caller (1) draws z with the graph of the encoder, z = mean +
    exp(logvar / 2) eps, and (2) computes log q(z | x) from mean.detach() and logvar.detach(), so
    that gradients reach q only through z:

        log_q = normal_log_prob(z, mean.detach(), logvar.detach())
        loss = -doubly_reparameterised(likelihood.log_prob(...) + prior.log_prob(z) - log_q, z)

    Args:
        log_weights: log w (K, B), computed from z as above.
        z: Codes (K, B, ...). If they need no gradient, as in validation, only the value of the
            bound is meaningful.
    """
    weights = log_weights.detach().softmax(0)
    # A view of z that was made earlier or later escapes the hook
    # (test_importance_weighted_gradients_agree_and_the_doubly_reparameterised_one_varies_less).
    if z.requires_grad:
        shape = (*weights.shape, *(1,) * (z.ndim - 2))
        z.register_hook(lambda gradient: gradient * weights.reshape(shape).to(gradient.dtype))
    surrogate = (weights * log_weights).sum(0)
    return surrogate + (importance_weighted(log_weights) - surrogate).detach()


def free_bits(kl: Tensor, nats: float) -> Tensor:
    """Return a KL (B,) in which each group costs at least `nats`.

    The mean over the batch is sum_j max(nats, mean_B KL_j): Kingma et al. (2016), equation 15,
    https://arxiv.org/abs/1606.04934. If the batch mean of a group is above `nats`, each image
    keeps its own KL. Otherwise the group costs exactly `nats` and has no gradient.

    Args:
        kl: KL (B, G) in nats of groups of the code, such as dimensions, channels or layers.
        nats: Smallest cost of each group, at least 0. With 0 only negative means change.
    """
    return kl.where(kl.mean(0) > nats, nats).sum(1)
