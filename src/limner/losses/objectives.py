"""Objectives of autoencoders: functions of the codes that were drawn for a batch of images.

An objective is called with a `PosteriorSample` and the current weight of the KL. It returns named
means over the images, in nats per image: `loss` is minimised; `reconstruction` and `kl` are parts
of `loss`. Every objective has the attributes

    num_samples       number K of codes for each image
    is_variational    whether codes are drawn from q(z | x) and bound log p(x); otherwise z = mean
    takes_kl_weight   whether it uses a KL weight other than 1
    num_layers        largest number of latent layers that it supports; None for any number
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
    """Density p(z), see `limner.networks.priors`."""

    is_standard_normal: bool = False

    def log_prob(self, z: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class PosteriorSample:
    """K codes z = mean + exp(logvar / 2) eps for each of B images, with log p(x | z)."""

    log_prob: Tensor
    """log p(x | z), (K, B), in nats."""
    z: Tensor
    """Codes (K, B, D)."""
    mean: Tensor
    """Mean of q(z | x): (1, B, D), or (K, B, D) if it depends on the codes of other layers."""
    logvar: Tensor
    """Log-variance of q(z | x), of the shape of `mean`."""
    eps: Tensor
    """Standard normal numbers (K, B, D)."""
    prior: Density
    decoder: nn.Module

    @property
    def log_q(self) -> Tensor:
        """The log-density log q(z | x), (K, B)."""
        return gaussian_log_prob(self.eps.square(), self.logvar).sum(-1)

    @property
    def kl(self) -> Tensor:
        """KL(q(z | x) || p(z)) in groups, (B, G).

        If p is N(0, I), it is exact, and each dimension is a group. Otherwise it is the mean of
        log q - log p over the codes, in one group.
        """
        if trait(self.prior, Density, "is_standard_normal"):
            kl = kl_dimensions(self.mean, self.logvar)
            return kl[0] if len(kl) == 1 else kl.mean(0)
        return (self.log_q - self.prior.log_prob(self.z)).mean(0)[:, None]


class Elbo:
    """Negative ELBO: -E[log p(x | z)] + kl_weight KL(q(z | x) || p(z)).

    Kingma and Welling (2014), equation 3, https://arxiv.org/abs/1312.6114. With a
    kl_weight above 1 it is the beta-VAE of Higgins et al. (2017), equation 4.

    Args:
        free_bits: Smallest cost of each group of the KL in nats, at least 0 (see
            `limner.losses.bounds`); None for no lower limit.
    """

    num_samples, is_variational, takes_kl_weight, num_layers = 1, True, True, None

    def __init__(self, *, free_bits: float | None) -> None:
        if free_bits is not None and free_bits < 0:
            raise ValueError(
                f"model.objective.free_bits={free_bits}: must be 0 or more (nats), or null."
            )
        self.free_bits = free_bits

    def __call__(self, sample: PosteriorSample, *, kl_weight: float) -> dict[str, Tensor]:
        """Return the loss and its parts, each () in nats per image."""
        reconstruction, groups = -sample.log_prob.mean(), sample.kl
        cost = kl = groups.sum(1).mean()
        if self.free_bits is not None:
            cost = free_bits(groups, self.free_bits).mean()
        loss = reconstruction + kl_weight * cost
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl}


class ImportanceWeighted:
    """Negative bound of the importance weighted autoencoder, see `limner.losses.bounds`.

    Args:
        num_samples: Number K of codes for each image, at least 1.
        doubly_reparameterised: Whether the encoder gets the lower-variance gradient (DReG).
    """

    is_variational, takes_kl_weight = True, False

    def __init__(self, *, num_samples: int, doubly_reparameterised: bool) -> None:
        if num_samples < 1:
            raise ValueError(f"model.objective.num_samples={num_samples}: must be 1 or more.")
        self.num_samples, self.is_dreg = num_samples, doubly_reparameterised
        self.num_layers = 1 if doubly_reparameterised else None

    def __call__(self, sample: PosteriorSample, *, kl_weight: float) -> dict[str, Tensor]:
        """Return the loss and its parts, each () in nats per image."""
        log_p = sample.log_prob + sample.prior.log_prob(sample.z)
        if self.is_dreg:
            log_q = normal_log_prob(sample.z, sample.mean.detach(), sample.logvar.detach())
            bound = doubly_reparameterised(log_p - log_q, sample.z)
        else:
            bound = importance_weighted(log_p - sample.log_q)
        reconstruction, kl = -sample.log_prob.mean(), sample.kl.sum(1).mean()
        return {"loss": -bound.mean(), "reconstruction": reconstruction, "kl": kl.detach()}


class RegularisedAutoencoder:
    """RAE-L2: -log p(x | z) + kl_weight ||z||^2 / 2 + decoder_weight ||theta||^2 at z = mean(x).

    Ghosh et al. (2020), equations 9 to 11, https://arxiv.org/abs/1903.12436, where theta are
    the weights of the decoder. There is no noise and no variance: `kl` is ||z||^2 / 2. To sample,
    fit a density to the codes afterwards (model=latent_prior).

    Args:
        decoder_weight: Factor of the decoder's squared weights, at least 0.
    """

    num_samples, is_variational, takes_kl_weight, num_layers = 1, False, True, 1

    def __init__(self, *, decoder_weight: float) -> None:
        if decoder_weight < 0:
            raise ValueError(
                f"model.objective.decoder_weight={decoder_weight}: must be 0 or more."
            )
        self.decoder_weight = decoder_weight

    def __call__(self, sample: PosteriorSample, *, kl_weight: float) -> dict[str, Tensor]:
        """Return the loss and its parts, each () in nats per image."""
        reconstruction = -sample.log_prob.mean()
        kl = 0.5 * sample.z.square().sum(-1).mean()
        squares = [weight.square().sum() for weight in sample.decoder.parameters()]
        regulariser = self.decoder_weight * sum(squares)
        loss = reconstruction + kl_weight * kl + regulariser
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl}
