"""Priors p(z) of latent codes, which a model samples from and compares q(z | x) with.

`given(encoder)` returns the density of a prior. The `encoder` maps images to the mean and
log-variance of q(z | x); only a prior with `uses_encoder` reads it. The density has

    log_prob(z)                          nats, of the shape of z without its last dimension
    sample(num_codes, generator=...)     (num_codes, latent_dim), on the prior's device

Random numbers come from a generator of the CPU, so that every device draws the same codes. If
`is_standard_normal`, the KL has a closed form; otherwise it is the mean over codes of
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
MAX_TERMS = 2**24  # codes x components x dimensions in one piece: 64 MB of float32


class StandardNormal(nn.Module):
    """The standard normal prior N(0, I).

    Args:
        latent_dim: Size of z; None if nobody samples from the prior.
    """

    is_standard_normal, uses_encoder = True, False
    anchor: Tensor

    def __init__(self, *, latent_dim: int | None) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.register_buffer("anchor", torch.empty(0), persistent=False)  # moves with the device

    def given(self, encoder: Encoder) -> "StandardNormal":
        """Return the prior itself: it does not depend on the encoder."""
        return self

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z) in nats, (...), of codes (..., D)."""
        return -0.5 * (z.square() + LOG_2PI).sum(-1)

    def sample(self, num_codes: int, *, generator: Generator | None = None) -> Tensor:
        """Draw codes (num_codes, D); `generator` is a generator of the CPU."""
        return torch.randn(num_codes, self.latent_dim, generator=generator).to(self.anchor)


class VampPrior(nn.Module):
    """A mixture of the posteriors of pseudo-inputs u_k, which are learned as images.

    p(z) = 1/K sum_k q(z | u_k),  u = tanh(free)

    Tomczak and Welling (2018), equation 9, https://arxiv.org/abs/1705.07120. The
    bound trains the pseudo-inputs together with the encoder and the decoder.

    Args:
        image_shape: Shape (C, H, W) of an image.
        num_components: Number K of pseudo-inputs, at least 1; 500 in the paper.
    """

    is_standard_normal, uses_encoder = False, True

    def __init__(self, *, image_shape: Sequence[int], num_components: int) -> None:
        if num_components < 1:
            raise ValueError(f"model.prior.num_components={num_components}: must be at least 1.")
        super().__init__()
        self.free = nn.Parameter(torch.randn(num_components, *image_shape))

    @property
    def pseudo_inputs(self) -> Tensor:
        """Pseudo-inputs as images (K, C, H, W) in [-1, 1]."""
        return self.free.tanh()

    def given(self, encoder: Encoder) -> "NormalMixture":
        """Encode the pseudo-inputs; call it once per step, since the weights change."""
        return NormalMixture(*encoder(self.pseudo_inputs))


class LearnedMixture(nn.Module):
    """A mixture of normals with diagonal covariances, trained by the bound with the decoder.

    It is the baseline of Tomczak and Welling (2018), section 4, https://arxiv.org/abs/1705.07120.
    The means are initialised from N(0, I), the standard deviations with 1.

    Args:
        latent_dim: Size of z.
        num_components: Number K of components, at least 1.
    """

    is_standard_normal, uses_encoder = False, False

    def __init__(self, *, latent_dim: int, num_components: int) -> None:
        if num_components < 1:
            raise ValueError(f"model.prior.num_components={num_components}: must be at least 1.")
        super().__init__()
        self.means = nn.Parameter(torch.randn(num_components, latent_dim))
        self.logvars = nn.Parameter(torch.zeros(num_components, latent_dim))

    def given(self, encoder: Encoder) -> "NormalMixture":
        """Return the mixture; it does not depend on the encoder."""
        return NormalMixture(self.means, self.logvars)


class NormalMixture:
    """A mixture of K normals with diagonal covariances and equal weights.

    Args:
        mean: Means (K, D).
        logvar: Log-variances (K, D).
    """

    is_standard_normal = False

    def __init__(self, mean: Tensor, logvar: Tensor) -> None:
        self.mean, self.logvar = mean, logvar

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z) in nats, (...), of codes (..., D)."""
        precision, norm = (-self.logvar).exp(), self.logvar.sum(1) + self.mean.shape[1] * LOG_2PI

        def of_some(codes: Tensor) -> Tensor:
            squares = ((codes[:, None] - self.mean).square() * precision).sum(2)
            return (-0.5 * (squares + norm)).logsumexp(1) - math.log(len(self.mean))

        return _in_parts(of_some, z, terms=self.mean.numel())

    def sample(self, num_codes: int, *, generator: Generator | None = None) -> Tensor:
        """Draw codes (num_codes, D); `generator` is a generator of the CPU."""
        which = torch.randint(len(self.mean), (num_codes,), generator=generator)
        eps = torch.randn(num_codes, self.mean.shape[1], generator=generator).to(self.mean)
        which = which.to(self.mean.device)
        return self.mean[which] + (self.logvar[which] / 2).exp() * eps


class GaussianMixture(nn.Module):
    """A mixture of normals with full covariances, fitted to the codes of a trained encoder.

    p(z) = sum_k w_k N(z; m_k, S_k)

    It is the sampler of regularised autoencoders: Ghosh et al. (2020), section 4,
    https://arxiv.org/abs/1903.12436. The parameters are buffers: a checkpoint holds them, and
    no optimizer sees them. The mixture is N(0, I) until `set` is called.

    Args:
        latent_dim: Size of z.
        num_components: Number K of components, at least 1; 10 in the paper.
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
        """Set the parameters, e.g. to the result of scikit-learn's GaussianMixture.

        Args:
            weights: Weights (K,), which sum to 1.
            means: Means (K, D).
            covariances: Covariances (K, D, D), positive definite.
        """
        self.log_weights.copy_(weights.log())
        self.means.copy_(means)
        self.triangles.copy_(torch.linalg.cholesky(covariances))

    def given(self, encoder: Encoder) -> "GaussianMixture":
        """Return the prior itself: it does not depend on the encoder."""
        return self

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z) in nats, (...), of codes (..., D)."""
        log_det = self.triangles.diagonal(dim1=1, dim2=2).log().sum(1)
        norm = log_det + self.means.shape[1] * LOG_2PI / 2

        def of_some(codes: Tensor) -> Tensor:
            centred = (codes[:, None] - self.means).permute(1, 2, 0)  # (K, D, N)
            white = torch.linalg.solve_triangular(self.triangles, centred, upper=False)
            return (self.log_weights - norm - white.square().sum(1).T / 2).logsumexp(1)

        return _in_parts(of_some, z, terms=self.means.numel())

    def sample(self, num_codes: int, *, generator: Generator | None = None) -> Tensor:
        """Draw codes (num_codes, D); `generator` is a generator of the CPU."""
        weights = self.log_weights.exp().cpu()
        which = torch.multinomial(weights, num_codes, replacement=True, generator=generator)
        eps = torch.randn(num_codes, self.means.shape[1], generator=generator).to(self.means)
        which = which.to(self.means.device)
        return self.means[which] + (self.triangles[which] @ eps[:, :, None]).squeeze(2)


def _in_parts(of_some: Callable[[Tensor], Tensor], z: Tensor, *, terms: int) -> Tensor:
    """Apply a function to codes (..., D) in pieces, so that memory stays bounded."""
    parts = z.flatten(0, -2).split(max(1, MAX_TERMS // terms))
    return torch.cat([of_some(part) for part in parts]).unflatten(0, z.shape[:-1])
