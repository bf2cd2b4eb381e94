"""What an autoencoder minimises: functions of the codes that it drew for its images.

An objective is called with a `PosteriorSample` and the present weight of the KL, and returns named
means over the images, in nats per image: `loss` is minimised, `reconstruction` and `kl` are its
parts. Its attributes are

    num_samples       K, the codes of each image
    is_variational    whether they are drawn from q(z | x), and log p(x) is bounded; else z = mean
    takes_kl_weight   whether a weight other than 1 means anything to it
    num_layers        the most latent layers that it knows how to treat; None for any number
"""

__all__ = ["Elbo", "ImportanceWeighted", "PosteriorSample", "RegularisedAutoencoder"]

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from limner.interfaces import trait
from limner.losses.bounds import doubly_reparameterised, free_bits, importance_weighted
from limner.losses.gaussian import gaussian_log_prob, normal_log_prob
from limner.losses.kl import kl_dimensions


class Density(Protocol):
    """p(z), see `limner.networks.priors`."""

    is_standard_normal: bool = False

    def log_prob(self, z: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class PosteriorSample:
    """K codes z = mean + exp(logvar / 2) eps for each of B images, and what comes of them."""

    log_prob: Tensor
    """log p(x | z), (K, B), in nats."""
    z: Tensor
    """(K, B, D)."""
    mean: Tensor
    """Mean of q(z | x): (1, B, D), or (K, B, D) where it depends on codes of layers above."""
    logvar: Tensor
    """Log-variance of q(z | x), of the shape of `mean`."""
    eps: Tensor
    """(K, B, D)."""
    prior: Density
    decoder: nn.Module

    @property
    def log_q(self) -> Tensor:
        """log q(z | x), (K, B)."""
        return gaussian_log_prob(self.eps.square(), self.logvar).sum(-1)

    @property
    def kl(self) -> Tensor:
        """KL(q(z | x) || p(z)) in groups, (B, G).

        Exactly and for each dimension where p is N(0, I); else as the mean of log q - log p over
        the codes, in one group.
        """
        if trait(self.prior, Density, "is_standard_normal"):
            return kl_dimensions(self.mean, self.logvar).mean(0)
        return (self.log_q - self.prior.log_prob(self.z)).mean(0)[:, None]


class Elbo:
    """-E[log p(x | z)] + kl_weight KL(q(z | x) || p(z)): the negative ELBO for kl_weight 1.

    Kingma and Welling (2014), equation 3, https://arxiv.org/abs/1312.6114; with a kl_weight above
    1 the beta-VAE of Higgins et al. (2017), equation 4.

    Args:
        free_bits: Nats that each group of the KL costs at least (see `limner.losses.bounds`); None
            for none.
    """

    num_samples, is_variational, takes_kl_weight, num_layers = 1, True, True, None

    def __init__(self, *, free_bits: float | None) -> None:
        if free_bits is not None and free_bits < 0:
            raise ValueError(f"model.objective.free_bits={free_bits}: nats, 0 or more; or null.")
        self.free_bits = free_bits

    def __call__(self, sample: PosteriorSample, *, kl_weight: float) -> dict[str, Tensor]:
        reconstruction, kl = -sample.log_prob.mean(), sample.kl
        cost = kl.sum(1) if self.free_bits is None else free_bits(kl, self.free_bits)
        loss = reconstruction + kl_weight * cost.mean()
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl.sum(1).mean()}


class ImportanceWeighted:
    """The negative bound of the importance weighted autoencoder, see `limner.losses.bounds`.

    Args:
        num_samples: K codes for each image, at least 1.
        doubly_reparameterised: Whether the encoder gets the gradient of less variance (DReG).
    """

    is_variational, takes_kl_weight = True, False

    def __init__(self, *, num_samples: int, doubly_reparameterised: bool) -> None:
        if num_samples < 1:
            raise ValueError(f"model.objective.num_samples={num_samples}: codes, at least 1.")
        self.num_samples, self.is_dreg = num_samples, doubly_reparameterised
        self.num_layers = 1 if doubly_reparameterised else None

    def __call__(self, sample: PosteriorSample, *, kl_weight: float) -> dict[str, Tensor]:
        log_p = sample.log_prob + sample.prior.log_prob(sample.z)
        if self.is_dreg:
            log_q = normal_log_prob(sample.z, sample.mean.detach(), sample.logvar.detach())
            bound = doubly_reparameterised(log_p - log_q, sample.z)
        else:
            bound = importance_weighted(log_p - sample.log_q)
        reconstruction, kl = -sample.log_prob.mean(), sample.kl.sum(1).mean()
        return {"loss": -bound.mean(), "reconstruction": reconstruction, "kl": kl.detach()}


class RegularisedAutoencoder:
    """-log p(x | z) + kl_weight ||z||^2 / 2 + decoder_weight ||theta||^2, of z = mean(x): RAE-L2.

    Ghosh et al. (2020), equations 9 to 11, https://arxiv.org/abs/1903.12436, with theta the
    decoder's weights. There is no noise and no variance: `kl` is the part of the KL that the mean
    has. A model that draws fits a density to the codes afterwards (model=latent_prior).

    Args:
        decoder_weight: At least 0.
    """

    num_samples, is_variational, takes_kl_weight, num_layers = 1, False, True, 1

    def __init__(self, *, decoder_weight: float) -> None:
        if decoder_weight < 0:
            raise ValueError(f"model.objective.decoder_weight={decoder_weight}: 0 or more.")
        self.decoder_weight = decoder_weight

    def __call__(self, sample: PosteriorSample, *, kl_weight: float) -> dict[str, Tensor]:
        reconstruction = -sample.log_prob.mean()
        kl = 0.5 * sample.z.square().sum(-1).mean()
        squares = [weight.square().sum() for weight in sample.decoder.parameters()]
        regulariser = self.decoder_weight * sum(squares)
        loss = reconstruction + kl_weight * kl + regulariser
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl}
