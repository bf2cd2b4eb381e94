"""Projection: the style whose image is nearest to a given picture.

Karras et al. (2020), appendix D, https://arxiv.org/abs/1912.04958. Adam minimises the distance of
the image g(w + e) to the picture x, from w = mean on:

    loss = d(g(w + e), x) + |g(w + e) - x|^2 / D          e ~ N(0, (0.05 sigma t^2)^2)

where sigma^2 = E[|w - mean|^2]. In the first three quarters of the updates, t falls from 1 to 0.
The learning rate rises in the first twentieth, and falls by a cosine in the last quarter. Three
things differ from the paper: d is `PerceptualDistance` of EfficientNet-lite0, whose weights are
installed, instead of LPIPS; the mean squared error of the D values keeps the colours, since d
compares features of unit length; and the noise inputs are 0 instead of optimised.
"""

__all__ = ["Projection", "perceptual_distance", "project"]

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from limner.errors import UserError
from limner.losses.perceptual import PerceptualDistance
from limner.networks.efficientnet_lite import EfficientNetLite0
from limner.pretrained.style_space import StyleSpace
from limner.randomness import generator_for

NOISE, NOISE_UNTIL = 0.05, 0.75
RISES_UNTIL, FALLS_FROM = 0.05, 0.75
LARGEST = 256
"""Largest side in pixels of the images that are compared; larger images are averaged first."""


class Projection(NamedTuple):
    """Styles and images that are nearest to pictures."""

    styles: np.ndarray
    """Styles w, float32 (N, style_dim)."""
    images: np.ndarray
    """Images of the styles, uint8 (N, H, W, C)."""
    distances: np.ndarray
    """Perceptual distance of each image to its picture, float32 (N,) in [0, 4]."""
    psnr: np.ndarray
    """PSNR of each image in dB, float32 (N,)."""


def project(
    space: StyleSpace,
    pictures: Tensor,
    labels: Tensor | None,
    *,
    distance: PerceptualDistance,
    num_updates: int,
    lr: float,
    progress: Callable[[int], None] = lambda _: None,
) -> Tensor:
    """Return the styles w (B, style_dim) whose images are nearest to pictures.

    Args:
        space: Styles of the model.
        pictures: Pictures (B, C, H, W) in [-1, 1], of the size of the model's images.
        labels: Classes (B,) or texts (B, L), whose means are the start; None without labels.
        distance: Perceptual distance of two batches of images.
        num_updates: Number of updates, at least 0.
        lr: Largest learning rate, above 0; 0.1 in the paper.
        progress: Function that gets the number of completed updates.
    """
    mean = space.mean(labels).expand(len(pictures), -1)
    sigma = space.spread(labels)
    w = mean.clone().requires_grad_()
    optimizer, generator = torch.optim.Adam([w], lr=lr), generator_for(0, "projection")
    reduced = _reduced(pictures)
    for update in range(num_updates):
        done = update / num_updates
        noise = torch.randn(1, w.shape[1], generator=generator).to(w)  # the same for each picture
        images = space.generator.paint(w + _noise_level(done) * sigma * noise)
        squared = (images - pictures).square().mean((1, 2, 3))
        loss = (distance(_reduced(images), reduced) + squared).sum()
        (w.grad,) = torch.autograd.grad(loss, [w])
        optimizer.param_groups[0]["lr"] = lr * _rate(done)
        optimizer.step()
        progress(update + 1)
    return w.detach()


def perceptual_distance(num_channels: int) -> PerceptualDistance:
    """Return the perceptual distance of images of 1 or 3 channels, with its weights loaded.

    Raises:
        UserError: If the images have another number of channels, or the weights are not installed.
    """
    network = EfficientNetLite0()
    distance = PerceptualDistance(network=network, stage_weights=[1, 1, 1, 0], min_size=32)
    try:
        network.check_channels(num_channels, user="The perceptual distance of a projection")
        distance.load()
    except ValueError as error:
        raise UserError(str(error)) from error
    return distance


def _noise_level(done: float) -> float:
    """Return the standard deviation of the noise, as a share of sigma."""
    return NOISE * max(0.0, 1 - done / NOISE_UNTIL) ** 2


def _rate(done: float) -> float:
    """Return the learning rate as a share of the largest."""
    falling = (1 - done) / (1 - FALLS_FROM)
    return min(1.0, done / RISES_UNTIL) * (0.5 - 0.5 * math.cos(math.pi * min(1.0, falling)))


def _reduced(images: Tensor) -> Tensor:
    """Return images whose sides are at most `LARGEST`, by the means of blocks of pixels."""
    factor = -(-max(images.shape[2:]) // LARGEST)
    return images if factor == 1 else avg_pool2d(images, factor)
