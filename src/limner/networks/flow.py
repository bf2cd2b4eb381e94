"""A small normalising flow as a prior of latent codes, learned by maximum likelihood.

    log p(z) = log N(f(z); 0, I) + log |det df/dz|

f is a chain of affine couplings. A coupling keeps one half a of the dimensions and maps the other
half b to (b + shift(a)) * exp(scale(a)), which has a triangular Jacobian. The halves are swapped
from layer to layer. Dinh et al. (2017), equations 4 to 8, https://arxiv.org/abs/1605.08803.
"""

__all__ = ["FlowPrior"]

import math

import torch
from torch import Generator, Tensor, nn

from limner.networks.priors import Encoder

MAX_LOG_SCALE = (
    2.0  # largest log-scale of a layer; the inverse of larger scales is inexact in float32
)


class FlowPrior(nn.Module):
    """Prior p(z) made of affine couplings; it is N(0, I) before training.

    Args:
        latent_dim: Size of z, at least 2.
        num_layers: Number of couplings, at least 2, so that every dimension is changed.
        hidden_dim: Width of the two hidden layers of each coupling's network.
    """

    is_standard_normal, uses_encoder = False, False

    def __init__(self, *, latent_dim: int, num_layers: int, hidden_dim: int) -> None:
        if latent_dim < 2:
            raise ValueError(
                f"model.latent_dim={latent_dim}: must be 2 or more for a flow, "
                "which couples dimensions."
            )
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
        """Return the prior itself: it does not depend on the encoder."""
        return self

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z) in nats, (...), of codes (..., D)."""
        noise, log_det = self.forward(z)
        return log_det - 0.5 * (noise.square() + math.log(2 * math.pi)).sum(-1)

    def sample(self, num_codes: int, *, generator: Generator | None = None) -> Tensor:
        """Draw codes (num_codes, latent_dim); `generator` is a generator of the CPU."""
        noise = torch.randn(num_codes, self.latent_dim, generator=generator)
        return self.inverse(noise.to(self.shift))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(z) (..., D) and log |det df/dz| (...) of codes (..., D)."""
        noise = (z + self.shift) * self.log_scale.exp()
        log_det = self.log_scale.sum().expand(z.shape[:-1])
        for coupling in self.couplings:
            noise, more = coupling(noise)
            log_det = log_det + more
        return noise, log_det

    def inverse(self, noise: Tensor) -> Tensor:
        """Return the z (..., D) with f(z) = noise."""
        for coupling in reversed(self.couplings):
            noise = coupling.inverse(noise)
        return noise * (-self.log_scale).exp() - self.shift


class _Coupling(nn.Module):
    """Affine coupling that changes the second part of z given the first.

    With `flip`, the dimensions are taken in reverse order.
    """

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
