"""Distributions p(z) of latent codes, from which a model samples and to which its KL compares.

A prior is asked for its density by `given(encoder)`, where `encoder` maps images to the mean and
log-variance of q(z | x); only one that `uses_encoder` looks at it. What it returns has

    log_prob(z)                          nats, of the shape of z without its last dimension
    sample(num_codes, generator=...)     (num_codes, latent_dim), on the prior's device

with numbers from a generator of the CPU, so that every device draws the same codes. Where
`is_standard_normal`, the KL has a closed form; elsewhere it is the mean over codes of
log q(z | x) - log p(z).
"""

__all__ = [
    "Encoder",
    "GaussianMixture",
    "LearnedMixture",
    "NormalMixture",
    "StandardNormal",
    "VampPrior",
]

import math
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor, nn

Encoder = Callable[[Tensor], tuple[Tensor, Tensor]]

LOG_2PI = math.log(2 * math.pi)
MAX_TERMS = 2**24  # codes times components times dimensions at once: 64 MB of float32


class StandardNormal(nn.Module):
    """N(0, I).

    Args:
        latent_dim: Size of z; None where only the density is asked for.
    """

    is_standard_normal, uses_encoder = True, False
    anchor: Tensor

    def __init__(self, *, latent_dim: int | None) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.register_buffer("anchor", torch.empty(0), persistent=False)  # knows the device

    def given(self, encoder: Encoder) -> "StandardNormal":
        return self

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square() + LOG_2PI).sum(-1)

    def sample(self, num_codes: int, *, generator: Generator | None = None) -> Tensor:
        return torch.randn(num_codes, self.latent_dim, generator=generator).to(self.anchor)


class VampPrior(nn.Module):
    """A mixture of the posteriors of pseudo-inputs u_k, which are learned as images.

    p(z) = 1/K sum_k q(z | u_k),  u = tanh(free)

    Tomczak and Welling (2018), equation 9, https://arxiv.org/abs/1705.07120. Its weights are those
    of the encoder and the pseudo-inputs, which the bound trains as it does the decoder's.

    Args:
        image_shape: (C, H, W).
        num_components: K, at least 1; the paper has 500.
    """

    is_standard_normal, uses_encoder = False, True

    def __init__(self, *, image_shape: Sequence[int], num_components: int) -> None:
        if num_components < 1:
            raise ValueError(f"model.prior.num_components={num_components}: must be at least 1.")
        super().__init__()
        self.free = nn.Parameter(torch.randn(num_components, *image_shape))

    @property
    def pseudo_inputs(self) -> Tensor:
        """Images (K, C, H, W) in [-1, 1]."""
        return self.free.tanh()

    def given(self, encoder: Encoder) -> "NormalMixture":
        """One pass of the encoder; to be done once in a step, after the weights have changed."""
        return NormalMixture(*encoder(self.pseudo_inputs))


class LearnedMixture(nn.Module):
    """A mixture of normals with diagonal covariances, trained by the bound as the decoder is.

    The baseline of Tomczak and Welling (2018), section 4, https://arxiv.org/abs/1705.07120. It
    starts as normals of deviation 1 around points drawn from N(0, I).

    Args:
        latent_dim: Size of z.
        num_components: K, at least 1.
    """

    is_standard_normal, uses_encoder = False, False

    def __init__(self, *, latent_dim: int, num_components: int) -> None:
        if num_components < 1:
            raise ValueError(f"model.prior.num_components={num_components}: must be at least 1.")
        super().__init__()
        self.means = nn.Parameter(torch.randn(num_components, latent_dim))
        self.logvars = nn.Parameter(torch.zeros(num_components, latent_dim))

    def given(self, encoder: Encoder) -> "NormalMixture":
        return NormalMixture(self.means, self.logvars)


class NormalMixture:
    """A mixture of K normals with diagonal covariances and equal weights.

    Args:
        mean: (K, D).
        logvar: (K, D).
    """

    is_standard_normal = False

    def __init__(self, mean: Tensor, logvar: Tensor) -> None:
        self.mean, self.logvar = mean, logvar

    def log_prob(self, z: Tensor) -> Tensor:
        precision, norm = (-self.logvar).exp(), self.logvar.sum(1) + self.mean.shape[1] * LOG_2PI

        def of_some(codes: Tensor) -> Tensor:
            squares = ((codes[:, None] - self.mean).square() * precision).sum(2)
            return (-0.5 * (squares + norm)).logsumexp(1) - math.log(len(self.mean))

        return _in_parts(of_some, z, terms=self.mean.numel())

    def sample(self, num_codes: int, *, generator: Generator | None = None) -> Tensor:
        which = torch.randint(len(self.mean), (num_codes,), generator=generator)
        eps = torch.randn(num_codes, self.mean.shape[1], generator=generator).to(self.mean)
        which = which.to(self.mean.device)
        return self.mean[which] + (self.logvar[which] / 2).exp() * eps


class GaussianMixture(nn.Module):
    """A mixture of normals with full covariances, fitted to the codes of a trained encoder.

    p(z) = sum_k w_k N(z; m_k, S_k)

    As the sampler of regularised autoencoders: Ghosh et al. (2020), section 4,
    https://arxiv.org/abs/1903.12436. The numbers are buffers: a checkpoint holds them, no
    optimizer sees them. Until `set` they make N(0, I).

    Args:
        latent_dim: Size of z.
        num_components: K, at least 1; 10 in the paper.
    """

    is_standard_normal, uses_encoder = False, False
    log_weights: Tensor
    means: Tensor
    triangles: Tensor

    def __init__(self, *, latent_dim: int, num_components: int) -> None:
        if num_components < 1:
            raise ValueError(f"model.prior.num_components={num_components}: must be at least 1.")
        super().__init__()
        equal = torch.full((num_components,), -math.log(num_components))
        self.register_buffer("log_weights", equal)
        self.register_buffer("means", torch.zeros(num_components, latent_dim))
        triangles = torch.eye(latent_dim).repeat(num_components, 1, 1)
        self.register_buffer("triangles", triangles)  # L of S = L L^T

    @torch.no_grad()
    def set(self, *, weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        """Takes over what a fit has found, for instance of scikit-learn's GaussianMixture.

        Args:
            weights: (K,), of sum 1.
            means: (K, D).
            covariances: (K, D, D), positive definite.
        """
        self.log_weights.copy_(weights.log())
        self.means.copy_(means)
        self.triangles.copy_(torch.linalg.cholesky(covariances))

    def given(self, encoder: Encoder) -> "GaussianMixture":
        return self

    def log_prob(self, z: Tensor) -> Tensor:
        log_det = self.triangles.diagonal(dim1=1, dim2=2).log().sum(1)
        norm = log_det + self.means.shape[1] * LOG_2PI / 2

        def of_some(codes: Tensor) -> Tensor:
            centred = (codes[:, None] - self.means).permute(1, 2, 0)  # (K, D, N)
            white = torch.linalg.solve_triangular(self.triangles, centred, upper=False)
            return (self.log_weights - norm - white.square().sum(1).T / 2).logsumexp(1)

        return _in_parts(of_some, z, terms=self.means.numel())

    def sample(self, num_codes: int, *, generator: Generator | None = None) -> Tensor:
        weights = self.log_weights.exp().cpu()
        which = torch.multinomial(weights, num_codes, replacement=True, generator=generator)
        eps = torch.randn(num_codes, self.means.shape[1], generator=generator).to(self.means)
        which = which.to(self.means.device)
        return self.means[which] + (self.triangles[which] @ eps[:, :, None]).squeeze(2)


def _in_parts(of_some: Callable[[Tensor], Tensor], z: Tensor, *, terms: int) -> Tensor:
    """Applied to codes (..., D), a few at a time where all would take much memory."""
    parts = z.flatten(0, -2).split(max(1, MAX_TERMS // terms))
    return torch.cat([of_some(part) for part in parts]).unflatten(0, z.shape[:-1])
