"""Residual GAN of Miyato et al. (2018), https://arxiv.org/abs/1802.05957, appendix B.4.

    generator, 32x32   channels     discriminator, 32x32   channels
    linear, 4x4        256          block, halved          128
    block, doubled     256          block, halved          128
    block, doubled     256          block                  128
    block, doubled     256          block                  128
    norm, ReLU, 3x3    3            ReLU, sum over pixels  128
    tanh                            linear                 1

A block of the generator is (norm, ReLU, double, 3x3, norm, ReLU, 3x3). A block of the
discriminator is (ReLU, 3x3, ReLU, 3x3, halve); its first block has no first ReLU. The output of a
block is added to its input, which is doubled or halved and passes a 1x1 convolution. Doubling
repeats pixels; halving averages them. The paper's other tables:

    size      generator: linear, blocks           discriminator: halving blocks | other blocks
    48x48     6x6x512,  256 128 64                64 128 256 512 | 1024
    128x128   4x4x1024, 1024 512 256 128 64       64 128 256 512 1024 | 1024

`width` and `max_width` choose the table:

    size      generator: width, max_width         discriminator: width, max_width
    32x32     256, 256                            128, 128
    48x48     64, 512                             64, 1024
    128x128   64, 1024 (network=resnet_large)     64, 1024

Class conditions follow https://arxiv.org/abs/1802.05637.
"""

__all__ = ["Discriminator", "Generator"]

import itertools
import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from limner.networks.conditions import (
    DISCRIMINATOR_CONDITIONS,
    GENERATOR_CONDITIONS,
    ClassCode,
    ClassMap,
    Head,
    Labelled,
    batch_norm,
    check_condition,
)
from limner.networks.normalisation import check_norm, norm_layer, normalise_spectra
from limner.networks.resolution import crop, pad, pyramid

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class Generator(nn.Module):
    """Generator from z (B, latent_dim) to images (B, C, H, W) in [-1, 1].

    A conditional generator takes labels (B,) as well.

    Args:
        latent_dim: Size of z.
        image_shape: Shape (C, H, W) of an image.
        width: Number of channels of the finest block. Each coarser block has twice as many, up
            to `max_width`.
        max_width: Largest number of channels of a block.
        num_classes: Number of classes; None for an unconditional network.
        condition: "none", "concat" or "batch_norm", see `limner.networks.conditions`.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        image_shape: Sequence[int],
        width: int,
        max_width: int,
        num_classes: int | None,
        condition: str,
    ) -> None:
        super().__init__()
        check_condition(
            "generator", condition, num_classes=num_classes, fitting=GENERATOR_CONDITIONS
        )
        self.image_shape = tuple(image_shape)
        channels, height, width_ = pyramid(image_shape, width, max_width)
        channels += [min(2 * channels[-1], max_width)]
        self.coarsest = (channels[-1], height, width_)
        self.code = ClassCode(latent_dim, num_classes if condition == "concat" else None)
        project = nn.Linear(self.code.num_outputs, math.prod(self.coarsest))
        self.project = _xavier(project, gain=1.0)
        normed = num_classes if condition == "batch_norm" else None
        self.blocks = nn.ModuleList(
            _doubling(*pair, num_classes=normed) for pair in itertools.pairwise(channels[::-1])
        )
        last = _xavier(nn.Conv2d(channels[0], image_shape[0], 3, padding=1), gain=1.0)
        self.to_image = Labelled(batch_norm(channels[0], normed), nn.ReLU(), last)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1]."""
        x = self.project(self.code(z, labels)).unflatten(1, self.coarsest)
        for block in self.blocks:
            x = block(x, labels)
        return torch.tanh(crop(self.to_image(x, labels), self.image_shape))


class Discriminator(nn.Module):
    """Discriminator from images (B, C, H, W) in [-1, 1] to logits (B,), large for real images.

    A conditional discriminator takes labels (B,) as well. With the condition "auxiliary" it
    returns (B, 1 + num_classes): the logit of "real" first, then the logits of the classes.

    Args:
        image_shape: Shape (C, H, W) of an image.
        width: Number of channels of the finest block. Each coarser block has twice as many, up
            to `max_width`.
        max_width: Largest number of channels of a block.
        smallest: Shorter side in pixels, above 0, at which halving ends. At least one block
            halves.
        num_flat_blocks: Number of blocks after the halving blocks, 0 or more.
        norm: "batch", "layer" or "none", before every ReLU of all blocks but the first. A gradient
            penalty needs a norm that does not mix the images of a batch: "layer" or "none".
        spectral_norm: Whether to divide every weight by its largest singular value, see
            `limner.networks.normalisation`.
        num_classes: Number of classes; None for an unconditional network.
        condition: "none", "concat", "projection" or "auxiliary", see `limner.networks.conditions`.
    """

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        width: int,
        max_width: int,
        smallest: int,
        num_flat_blocks: int,
        norm: str,
        spectral_norm: bool,
        num_classes: int | None,
        condition: str,
    ) -> None:
        super().__init__()
        check_condition(
            "discriminator", condition, num_classes=num_classes, fitting=DISCRIMINATOR_CONDITIONS
        )
        check_norm(norm)
        _check_depth(smallest, num_flat_blocks)
        self.image_shape, self.smallest = tuple(image_shape), smallest
        self.map = ClassMap(image_shape, num_classes if condition == "concat" else None)
        channels, _, _ = pyramid(image_shape, width, max_width, smallest=smallest)
        flat = [min(2 * channels[-1], max_width)] * num_flat_blocks
        self.blocks = nn.Sequential(
            _halving_at_once(self.map.num_channels, channels[0]),
            *(_halving(*pair, norm=norm) for pair in itertools.pairwise(channels)),
            *(_flat(*pair, norm=norm) for pair in itertools.pairwise([channels[-1], *flat])),
            nn.ReLU(),
        )
        num_features = [*channels, *flat][-1]
        self.classify = Head(num_features, num_classes=num_classes, condition=condition)
        for layer in self.classify.modules():
            _xavier(layer, gain=1.0)
        if spectral_norm:
            normalise_spectra(self)

    def features(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the features (B, num_features) that the last layer reads."""
        padded = pad(self.map(images, labels), self.image_shape, smallest=self.smallest)
        return self.blocks(padded).sum((2, 3))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (B,), or (B, 1 + num_classes) if D predicts classes."""
        return self.classify(self.features(images, labels), labels)


class _Block(nn.Module):
    """Residual block x -> shortcut(x) + residual(x)."""

    def __init__(self, *, residual: Sequence[nn.Module], shortcut: Sequence[nn.Module]) -> None:
        super().__init__()
        self.residual, self.shortcut = Labelled(*residual), nn.Sequential(*shortcut)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.shortcut(x) + self.residual(x, labels)


def _doubling(before: int, after: int, *, num_classes: int | None) -> _Block:
    residual = [batch_norm(before, num_classes), nn.ReLU(), nn.Upsample(scale_factor=2)]
    residual += [_conv3(before, after), batch_norm(after, num_classes), nn.ReLU()]
    # a 1x1 convolution commutes with doubling and halving, and is cheaper on the smaller map
    shortcut = [_conv1(before, after), nn.Upsample(scale_factor=2)]
    return _Block(residual=[*residual, _conv3(after, after)], shortcut=shortcut)


def _halving_at_once(before: int, after: int) -> _Block:
    residual = [_conv3(before, after), nn.ReLU(), _conv3(after, after), nn.AvgPool2d(2)]
    return _Block(residual=residual, shortcut=[nn.AvgPool2d(2), _conv1(before, after)])


def _halving(before: int, after: int, *, norm: str) -> _Block:
    residual = [*_convolutions(before, after, norm=norm), nn.AvgPool2d(2)]
    return _Block(residual=residual, shortcut=[nn.AvgPool2d(2), _conv1(before, after)])


def _flat(before: int, after: int, *, norm: str) -> _Block:
    shortcut = [] if before == after else [_conv1(before, after)]
    return _Block(residual=_convolutions(before, after, norm=norm), shortcut=shortcut)


def _convolutions(before: int, after: int, *, norm: str) -> list[nn.Module]:
    first = [norm_layer(norm, before), nn.ReLU(), _conv3(before, before)]
    return [*first, norm_layer(norm, before), nn.ReLU(), _conv3(before, after)]


def _conv3(before: int, after: int) -> nn.Conv2d:
    return _xavier(nn.Conv2d(before, after, 3, padding=1), gain=math.sqrt(2))


def _conv1(before: int, after: int) -> nn.Conv2d:
    return _xavier(nn.Conv2d(before, after, 1), gain=1.0)


def _xavier(layer: Layer, *, gain: float) -> Layer:
    """Draw uniform weights of variance 2 gain^2 / (fan_in + fan_out), as the authors do."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _check_depth(smallest: int, num_flat_blocks: int) -> None:
    if smallest < 1:
        raise ValueError(f"network.discriminator.smallest={smallest}: must be 1 or more.")
    if num_flat_blocks < 0:
        raise ValueError(
            f"network.discriminator.num_flat_blocks={num_flat_blocks}: must be 0 or more."
        )
