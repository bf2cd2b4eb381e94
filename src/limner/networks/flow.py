"""A small normalising flow as a prior of latent codes, learned by maximum likelihood.

    log p(z) = log N(f(z); 0, I) + log |det df/dz|

f is a chain of affine couplings: a half a of the dimensions passes, and the other half becomes
(b + shift(a)) * exp(scale(a)), whose Jacobian is triangular. The halves are swapped from layer to
layer. Dinh et al. (2017), equations 4 to 8, https://arxiv.org/abs/1605.08803.
"""

__all__ = ["FlowPrior"]

import math

import torch
from torch import Generator, Tensor, nn

from limner.networks.priors import Encoder

MAX_LOG_SCALE = 2.0  # of a layer: keeps the inverse exact to a few digits of float32


class FlowPrior(nn.Module):
    """p(z) by `num_layers` couplings, N(0, I) until it is trained.

    Args:
        latent_dim: Size of z, at least 2.
        num_layers: Couplings, at least 2, so that every dimension is changed.
        hidden_dim: Width of the two hidden layers of each coupling's network.
    """

    is_standard_normal, uses_encoder = False, False

    def __init__(self, *, latent_dim: int, num_layers: int, hidden_dim: int) -> None:
        if latent_dim < 2:
            raise ValueError(f"model.latent_dim={latent_dim}: a flow couples 2 or more.")
        if num_layers < 2:
            raise ValueError(f"model.prior.num_layers={num_layers}: must be at least 2.")
        super().__init__()
        self.latent_dim = latent_dim
        self.log_scale = nn.Parameter(torch.zeros(latent_dim))
        self.shift = nn.Parameter(torch.zeros(latent_dim))
        self.couplings = nn.ModuleList(
            _Coupling(latent_dim, hidden_dim, flip=bool(number % 2))
            for number in range(num_layers)
        )

    def given(self, encoder: Encoder) -> "FlowPrior":
        return self

    def log_prob(self, z: Tensor) -> Tensor:
        noise, log_det = self.forward(z)
        return log_det - 0.5 * (noise.square() + math.log(2 * math.pi)).sum(-1)

    def sample(self, num_codes: int, *, generator: Generator | None = None) -> Tensor:
        noise = torch.randn(num_codes, self.latent_dim, generator=generator)
        return self.inverse(noise.to(self.shift))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """f(z) (..., D), and log |det df/dz| (...), of codes (..., D)."""
        noise = (z + self.shift) * self.log_scale.exp()
        log_det = self.log_scale.sum().expand(z.shape[:-1])
        for coupling in self.couplings:
            noise, more = coupling(noise)
            log_det = log_det + more
        return noise, log_det

    def inverse(self, noise: Tensor) -> Tensor:
        """z with f(z) = noise, (..., D)."""
        for coupling in reversed(self.couplings):
            noise = coupling.inverse(noise)
        return noise * (-self.log_scale).exp() - self.shift


class _Coupling(nn.Module):
    """Changes the second part of the dimensions by the first; with `flip` from the other end."""

    def __init__(self, latent_dim: int, hidden_dim: int, *, flip: bool) -> None:
        super().__init__()
        self.flip = flip
        self.sizes = [latent_dim - latent_dim // 2, latent_dim // 2]
        last = nn.Linear(hidden_dim, 2 * self.sizes[1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(
            nn.Linear(self.sizes[0], hidden_dim), nn.SiLU(),
            nn.Linear(hidden_dim, hidden_dim), nn.SiLU(), last,
        )  # fmt: skip

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed, shift, log_scale = self._parts(z)
        return self._joined(kept, (changed + shift) * log_scale.exp()), log_scale.sum(-1)

    def inverse(self, z: Tensor) -> Tensor:
        kept, changed, shift, log_scale = self._parts(z)
        return self._joined(kept, changed * (-log_scale).exp() - shift)

    def _parts(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        kept, changed = (z.flip(-1) if self.flip else z).split(self.sizes, dim=-1)
        shift, raw = self.network(kept).chunk(2, dim=-1)
        return kept, changed, shift, MAX_LOG_SCALE * (raw / MAX_LOG_SCALE).tanh()

    def _joined(self, kept: Tensor, changed: Tensor) -> Tensor:
        joined = torch.cat([kept, changed], dim=-1)
        return joined.flip(-1) if self.flip else joined
