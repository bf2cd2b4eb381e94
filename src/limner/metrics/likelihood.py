"""log p(x): its value for an autoregressive model, bounds for a model with latent variables.

With K codes z_k ~ q(z|x) and log-weights w_k = log p(x|z_k) + log p(z_k) - log q(z_k|x),

    ELBO = E[w]     IW(K) = E[log(1/K sum_k exp w_k)] <= log p(x)     IW(1) = ELBO

and IW grows with K; Burda et al. (2016), equation 8, https://arxiv.org/abs/1509.00519.

All bounds of a call share their codes: a bound with k < K codes is the mean over K // k groups of
k codes. So ELBO <= IW(k) <= IW(K) holds for each image if k divides K, and the ELBO has the least
noise that K codes allow.
"""

__all__ = [
    "Bounds", "Exact", "ExactLikelihood", "Pixels", "bits_per_dim", "exact_likelihood",
    "likelihood_bounds",
]  # fmt: skip

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Generator, Tensor

from limner.interfaces import label_kwargs
from limner.losses.bounds import LatentVariables
from limner.pixels import to_float
from limner.randomness import generator_for

Pixels = Literal["stored", "dequantised", "binarised"]


class Bounds(NamedTuple):
    """Means over the images, in nats per image; larger is better."""

    elbo: float
    """reconstruction - kl."""
    reconstruction: float
    """E log p(x | z)."""
    kl: float
    """E KL(q(z | x) || p(z)), by the same codes."""
    importance_weighted: dict[int, float]
    """Bound IW(K) for each number of codes K."""
    standard_error: dict[str, float]
    """Standard errors over the images of "elbo", "reconstruction", "kl" and
    "importance_weighted_<K>"."""
    num_images: int
    num_values: int
    """Number of pixels times channels of an image."""


@runtime_checkable
class ExactLikelihood(Protocol):
    """A model whose log p(x) is computed without a bound, in evaluation mode."""

    def log_prob(self, images: Tensor) -> Tensor:
        """Return log p (B,) in nats of images (B, C, H, W) in [-1, 1].

        A conditional model also takes `labels` int64 (B,), and returns log p(x | y).
        """


class Exact(NamedTuple):
    """Mean over the images, in nats per image; larger is better."""

    log_prob: float
    """log p(x), or log p(x | y) of a conditional model."""
    standard_error: float
    """Standard error over the images."""
    num_images: int
    num_values: int
    """Number of pixels times channels of an image."""


def exact_likelihood(
    model: ExactLikelihood,
    batches: Iterable[tuple[Tensor, Tensor | None]],
    *,
    device: torch.device | str = "cpu",
) -> Exact:
    """Return the mean of log p(x) over a data set.

    Args:
        model: Model in evaluation mode; its EMA weights are used if it has any.
        batches: uint8 images (B, C, H, W), and labels (B,) for a conditional model, else None.
        device: Device of the model.
    """
    parts, num_values = [], 0
    for batch, labels in batches:
        images = to_float(batch).to(device)
        num_values = images[0].numel()
        parts.append(model.log_prob(images, **label_kwargs(labels)).cpu().double())
    values = torch.cat(parts)
    error = (values.std() / len(values) ** 0.5).item()
    return Exact(values.mean().item(), error, len(values), num_values)


def likelihood_bounds(
    model: LatentVariables,
    batches: Iterable[tuple[Tensor, Tensor | None]],
    *,
    num_samples: Sequence[int],
    decoded_at_once: int,
    pixels: Pixels,
    seed: int,
    device: torch.device | str = "cpu",
) -> Bounds:
    """Return the ELBO, its two terms, and the importance-weighted bounds of a data set.

    The memory holds `decoded_at_once` images in the decoder, and one float64 number for each code
    of a batch.

    Args:
        model: Model in evaluation mode; its EMA weights are used if it has any.
        batches: uint8 images (B, C, H, W), and labels (B,) for a conditional model, else None.
            The bounds of a conditional model are bounds of log p(x | y).
        num_samples: Number of codes of each bound, e.g. (5, 50, 5000); the largest is drawn.
        decoded_at_once: Number of codes in the decoder at a time, for all images of a batch
            together.
        pixels: Definition of x. "stored": x / 127.5 - 1. "dequantised": uniform noise of one
            grey level is added. Without noise, a density on 256 levels can grow without limit
            (Theis et al., 2016, section 3.1, https://arxiv.org/abs/1511.01844). "binarised": each
            value is 1 with the probability x / 255, else 0, as in published values for binary
            MNIST.
        seed: Seed of codes, noise and binarisation.
        device: Device of the model.
    """
    largest = max(num_samples)
    columns: dict[str, list[Tensor]] = {}
    num_values = 0
    for number, (batch, labels) in enumerate(batches):
        generator = generator_for(seed, "likelihood", number)
        images = _as_read(batch, pixels, generator).to(device)
        num_values = images[0].numel()
        found = _of_batch(model, images, labels, largest, decoded_at_once, generator, num_samples)
        for name, value in found.items():
            columns.setdefault(name, []).append(value)
    joined = {name: torch.cat(parts) for name, parts in columns.items()}
    means = {name: value.mean().item() for name, value in joined.items()}
    return Bounds(
        means["elbo"],
        means["reconstruction"],
        means["kl"],
        {k: means[f"importance_weighted_{k}"] for k in sorted(set(num_samples))},
        {name: (value.std() / len(value) ** 0.5).item() for name, value in joined.items()},
        len(joined["elbo"]),
        num_values,
    )


def bits_per_dim(nats: float, *, num_values: int, is_density: bool) -> float:
    """Return -log2 p per pixel and channel; smaller is better.

    Args:
        nats: log p(x) of an image, or a bound of it.
        num_values: Number of pixels times channels.
        is_density: True if p is a density of images in [-1, 1]; the probability of a grey level is
            then the density times its width 2/255. False if p is a probability already.
    """
    width = math.log(2 / 255) if is_density else 0.0
    return -(nats / num_values + width) / math.log(2)


def _as_read(batch: Tensor, pixels: Pixels, generator: Generator) -> Tensor:
    images = to_float(batch)
    if pixels == "stored":
        return images
    u = torch.rand(batch.shape, generator=generator).to(images.device)
    if pixels == "dequantised":
        return images + (u - 0.5) * (2 / 255)
    return torch.where(u < (images + 1) / 2, 1.0, -1.0)


def _of_batch(
    model: LatentVariables,
    images: Tensor,
    labels: Tensor | None,
    largest: int,
    decoded_at_once: int,
    generator: Generator,
    num_samples: Sequence[int],
) -> dict[str, Tensor]:
    """Return values (B,), float64, by name."""
    size = max(1, decoded_at_once // len(images))
    reconstruction, kl = [], []
    for start in range(0, largest, size):
        drawn = model.log_weights(
            images,
            num_samples=min(size, largest - start),
            generator=generator,
            **label_kwargs(labels),
        )
        reconstruction.append(drawn.reconstruction.cpu().double())
        kl.append(drawn.kl.cpu().double())
    r, d = torch.cat(reconstruction), torch.cat(kl)
    values = {"elbo": (r - d).mean(0), "reconstruction": r.mean(0), "kl": d.mean(0)}
    for k in num_samples:
        groups = (r - d)[: largest // k * k].unflatten(0, (-1, k))
        bound = (groups.logsumexp(1) - math.log(k)).mean(0)
        values[f"importance_weighted_{k}"] = bound
    return values
