"""How likely a model with latent variables finds images: the ELBO and tighter bounds.

With K codes z_k ~ q(z|x) and log-weights w_k = log p(x|z_k) + log p(z_k) - log q(z_k|x),

    ELBO = E[w]     IW(K) = E[log(1/K sum_k exp w_k)] <= log p(x)     IW(1) = ELBO

and IW grows with K; Burda et al. (2016), equation 8, https://arxiv.org/abs/1509.00519.

All bounds of a call share their codes: of k < K codes, the mean over the K // k groups of k is
taken. So the order ELBO <= IW(k) <= IW(K) holds image by image where k divides K, and the ELBO is
of the least noise that K codes allow.
"""

__all__ = ["Bounds", "Pixels", "bits_per_dim", "likelihood_bounds"]

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor

from limner.interfaces import LatentVariables, label_kwargs
from limner.pixels import to_float
from limner.randomness import generator_for

Pixels = Literal["stored", "dequantised", "binarised"]


class Bounds(NamedTuple):
    """Means over the images, in nats for each image; larger is better."""

    elbo: float
    """reconstruction - kl"""
    reconstruction: float
    """E log p(x | z)"""
    kl: float
    """E KL(q(z | x) || p(z)), by the same codes"""
    importance_weighted: dict[int, float]
    """Number of codes to bound."""
    standard_error: dict[str, float]
    """Of "elbo", "reconstruction", "kl" and "importance_weighted_<K>", over the images."""
    num_images: int
    num_values: int
    """Pixels times channels of an image."""


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
    """ELBO, its parts, and the importance-weighted bounds over a data set.

    Memory: `decoded_at_once` images in the decoder, and one float64 number for each code of a
    batch.

    Args:
        model: Bounded in evaluation mode, by its EMA weights where there are any.
        batches: uint8 (B, C, H, W), and labels (B,) that a conditional model is told; else None.
            Of such a model the bounds are of log p(x | y).
        num_samples: Codes of each bound, e.g. (5, 50, 5000); the largest is drawn.
        decoded_at_once: Codes in the decoder at a time, for all images of a batch together.
        pixels: What is called x. "stored": x / 127.5 - 1. "dequantised": with uniform noise of one
            grey level added, without which a density of 256 levels bounds nothing (Theis et al.,
            2016, section 3.1, https://arxiv.org/abs/1511.01844). "binarised": each value is 1 with
            the probability x / 255, else 0, as in the papers' numbers for binary MNIST.
        seed: Of codes, noise and coins.
        device: Where the model is.
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
    """-log2 p for each pixel and channel; smaller is better.

    Args:
        nats: log p(x) of an image, or its bound.
        num_values: Pixels times channels.
        is_density: Whether p is a density over images in [-1, 1], where a grey level is 2/255
            wide and its probability the density times that, rather than a probability already.
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
    """Name to values (B,), float64."""
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
