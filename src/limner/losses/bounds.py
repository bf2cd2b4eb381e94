"""Lower bounds of log p(x), from K codes z_k ~ q(z | x) for each image, and what is done to a KL.

    log w_k = log p(x | z_k) + log p(z_k) - log q(z_k | x)        `log_weights` (K, B), in nats

All bounds are to be maximised, and grow towards log p(x) in this order: ELBO = IW(1) <= IW(K).
"""

__all__ = ["doubly_reparameterised", "elbo", "free_bits", "importance_weighted"]

import math

from torch import Tensor


def elbo(log_weights: Tensor) -> Tensor:
    """The evidence lower bound E[log w], (B,), averaged over K codes.

    Kingma and Welling (2014), equation 2, https://arxiv.org/abs/1312.6114.
    """
    return log_weights.mean(0)


def importance_weighted(log_weights: Tensor) -> Tensor:
    """The bound of the importance weighted autoencoder, (B,).

    IW(K) = E[log 1/K sum_k w_k]

    Burda et al. (2016), equation 8, https://arxiv.org/abs/1509.00519.
    """
    return log_weights.logsumexp(0) - math.log(len(log_weights))


def doubly_reparameterised(log_weights: Tensor, z: Tensor) -> Tensor:
    """The same bound (B,), with a gradient of less variance for the encoder (DReG).

    With v_k = w_k / sum_j w_j, the decoder's and the prior's weights get the usual gradient
    sum_k v_k d log w_k, and those of q get sum_k v_k^2 d log w_k / d z_k d z_k / d phi: Tucker et
    al. (2019), equations 8 and 9, https://arxiv.org/abs/1810.04152. For K = 1 this is the
    gradient "sticking the landing" of Roeder et al. (2017).

    One backward pass does both: the gradient that arrives at z is scaled by v_k once more. For
    that the caller (1) draws z with the graph of the encoder, z = mean + exp(logvar / 2) eps, and
    (2) forms log q(z | x) from mean.detach() and logvar.detach(), so that weights of q are
    reached by way of z only:

        log_q = normal_log_prob(z, mean.detach(), logvar.detach())
        loss = -doubly_reparameterised(likelihood.log_prob(...) + prior.log_prob(z) - log_q, z)

    Args:
        log_weights: (K, B), formed from z as said.
        z: The codes (K, B, ...). Where it needs no gradient, as in validation, only the value of
            the bound is of use.
    """
    weights = log_weights.detach().softmax(0)
    if z.requires_grad:
        shape = (*weights.shape, *(1,) * (z.ndim - 2))
        z.register_hook(lambda gradient: gradient * weights.reshape(shape).to(gradient.dtype))
    surrogate = (weights * log_weights).sum(0)
    return surrogate + (importance_weighted(log_weights) - surrogate).detach()


def free_bits(kl: Tensor, nats: float) -> Tensor:
    """A KL of which each group costs `nats` at least, so that less than that saves nothing, (B,).

    sum_j max(nats, mean_B KL_j), as the mean over the batch: Kingma et al. (2016), equation 15,
    https://arxiv.org/abs/1606.04934. Image by image a group has its own KL where the batch's mean
    is above `nats`, and exactly `nats` without a gradient elsewhere.

    Args:
        kl: (B, G), in nats, of groups (dimensions, channels, layers) of the code.
        nats: For each group, at least 0; 0 changes nothing but a negative mean.
    """
    return kl.where(kl.mean(0) > nats, nats).sum(1)
