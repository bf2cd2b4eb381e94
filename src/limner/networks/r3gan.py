"""Residual GAN without normalisation of Huang et al. (2025), https://arxiv.org/abs/2501.05441.

Written from the paper (section 4 and the appendix).

    generator, 32x32         map      discriminator, 32x32     map
    basis, scaled by A z     4x4      1x1 from the image       32x32
    two blocks               4x4      two blocks, halved       16x16
    doubled, two blocks      8x8      two blocks, halved       8x8
    doubled, two blocks      16x16    two blocks, halved       4x4
    doubled, two blocks      32x32    two blocks               4x4
    1x1 to the image         32x32    weighted sum, linear     1

A block is x + r(x) with r = (1x1 with E times the channels, 3x3 in groups, 1x1), and leaky ReLU
before the second and the third convolution. It has no normalisation. Where the number of channels
changes, a 1x1 convolution follows. A map is doubled by linear interpolation and halved after the
same filter:

    doubled    y[2i] = x[i],  y[2i + 1] = (x[i] + x[i + 1]) / 2
    halved     y[i] = (x[2i - 1] + 2 x[2i] + x[2i + 1]) / 4

Beyond its edge a map repeats its last row and column, so a constant map stays constant. The
generator begins with a learned map ("basis"), whose channels are multiplied by a linear function
of z. The discriminator ends with a weighted sum over the places of each channel.

Weights are drawn from N(0, gain^2 / fan_in), where the gain is sqrt(2 / (1 + 0.2^2)) after a leaky
ReLU and before one. As in Fix-up (Zhang et al. 2019, https://arxiv.org/abs/1901.09321), the last
convolution of each of the L blocks is 0 and the others are multiplied by L^(-1/4): a block begins
as the identity. The first two convolutions of a block have biases, which begin at 0.

With `width` below `max_width`, coarser maps have more channels. For sizes other than 4 * 2^n the
coarsest map is a little larger, and the image is the centre of the last map. The generator's last
layer is linear: images may leave [-1, 1].

The paper's conditional generator reads z beside an embedding of the class, which is the condition
"concat"; its discriminator compares features with a vector of the class ("projection").
"""

__all__ = ["Discriminator", "Generator"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu

from limner.networks.conditions import (
    DISCRIMINATOR_CONDITIONS,
    ClassCode,
    ClassMap,
    Head,
    check_condition,
)
from limner.networks.resolution import crop, pad, pyramid

SLOPE = 0.2


class Generator(nn.Module):
    """Generator from z (B, latent_dim) to images (B, C, H, W), mostly in [-1, 1].

    A conditional generator takes labels (B,) as well.

    Args:
        latent_dim: Size of z.
        image_shape: Shape (C, H, W) of an image.
        width: Number of channels of the finest stage. Each coarser stage has twice as many, up to
            `max_width`.
        max_width: Largest number of channels of a stage.
        num_blocks: Number of blocks of a stage, at least 1; 2 in the paper.
        expansion: Number of hidden channels of a block as a multiple of its channels; 2 in the
            paper.
        group_size: Number of channels of a group of the 3x3 convolution; 16 in the paper.
        half_precision_stages: Number of finest stages that are computed in half precision under
            `trainer.precision=bf16-mixed`, at least 0; the others are in float32.
        num_classes: Number of classes; None for an unconditional network.
        condition: "none" or "concat", see `limner.networks.conditions`.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        image_shape: Sequence[int],
        width: int,
        max_width: int,
        num_blocks: int,
        expansion: int,
        group_size: int,
        half_precision_stages: int,
        num_classes: int | None,
        condition: str,
    ) -> None:
        super().__init__()
        check_condition(
            "generator", condition, num_classes=num_classes, fitting=("none", "concat")
        )
        self.image_shape = tuple(image_shape)
        channels, height, width_ = _stages(image_shape, width, max_width)
        self.code = ClassCode(latent_dim, num_classes if condition == "concat" else None)
        self.scales = nn.Linear(self.code.num_outputs, channels[-1])
        self.basis = nn.Parameter(torch.randn(channels[-1], height, width_))
        self.stages = nn.ModuleList()
        for i, each in reversed(list(enumerate(channels))):
            layers = _blocks(each, num_blocks, expansion, group_size)
            if i + 1 < len(channels):
                layers = [*_change(channels[i + 1], each), _Double(), *layers]
            self.stages.append(
                _Stage(layers, number=i, half_precision_stages=half_precision_stages)
            )
        self.to_image = nn.Conv2d(channels[0], image_shape[0], 1)
        _init(self, num_blocks=len(channels) * num_blocks)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (B, C, H, W)."""
        x = self.scales(self.code(z, labels))[:, :, None, None] * self.basis
        for stage in self.stages:
            x = stage(x)
        return crop(self.to_image(x), self.image_shape)


class Discriminator(nn.Module):
    """Discriminator from images (B, C, H, W) in [-1, 1] to logits (B,), large for real images.

    A conditional discriminator takes labels (B,) as well. With the condition "auxiliary" it
    returns (B, 1 + num_classes): the logit of "real" first, then the logits of the classes.

    Args:
        image_shape: Shape (C, H, W) of an image.
        width: Number of channels of the finest stage. Each coarser stage has twice as many, up to
            `max_width`.
        max_width: Largest number of channels of a stage.
        num_blocks: Number of blocks of a stage, at least 1; 2 in the paper.
        expansion: Number of hidden channels of a block as a multiple of its channels; 2 in the
            paper.
        group_size: Number of channels of a group of the 3x3 convolution; 16 in the paper.
        half_precision_stages: Number of finest stages that are computed in half precision under
            `trainer.precision=bf16-mixed`, at least 0; the others are in float32.
        num_classes: Number of classes; None for an unconditional network.
        condition: "none", "concat", "projection" or "auxiliary", see `limner.networks.conditions`.
    """

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        width: int,
        max_width: int,
        num_blocks: int,
        expansion: int,
        group_size: int,
        half_precision_stages: int,
        num_classes: int | None,
        condition: str,
    ) -> None:
        super().__init__()
        check_condition(
            "discriminator", condition, num_classes=num_classes, fitting=DISCRIMINATOR_CONDITIONS
        )
        self.image_shape = tuple(image_shape)
        channels, height, width_ = _stages(image_shape, width, max_width)
        self.map = ClassMap(image_shape, num_classes if condition == "concat" else None)
        self.from_image = nn.Conv2d(self.map.num_channels, channels[0], 1)
        self.stages = nn.ModuleList()
        for i, each in enumerate(channels):
            layers = _blocks(each, num_blocks, expansion, group_size)
            if i + 1 < len(channels):
                layers += [_Halve(), *_change(each, channels[i + 1])]
            self.stages.append(
                _Stage(layers, number=i, half_precision_stages=half_precision_stages)
            )
        std = 1 / math.sqrt(height * width_)
        self.basis = nn.Parameter(std * torch.randn(channels[-1], height, width_))
        self.classify = Head(channels[-1], num_classes=num_classes, condition=condition)
        _init(self, num_blocks=len(channels) * num_blocks)

    def features(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the features (B, num_features) that the last layer reads."""
        x = self.from_image(pad(self.map(images, labels), self.image_shape))
        for stage in self.stages:
            x = stage(x)
        return (x * self.basis).sum((2, 3))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (B,), or (B, 1 + num_classes) if D predicts classes."""
        return self.classify(self.features(images, labels), labels)


class _Stage(nn.Sequential):
    """Layers of one size of map.

    Args:
        layers: Layers in their order.
        number: Number of the stage, where 0 is the finest.
        half_precision_stages: Number of finest stages that autocast may compute in half precision.
    """

    def __init__(
        self, layers: Sequence[nn.Module], *, number: int, half_precision_stages: int
    ) -> None:
        if half_precision_stages < 0:
            raise ValueError(
                f"network.half_precision_stages={half_precision_stages}: must be 0 or more."
            )
        super().__init__(*layers)
        self.in_half = number < half_precision_stages

    def forward(self, x: Tensor) -> Tensor:
        if self.in_half or not torch.amp.is_autocast_available(x.device.type):
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.to(next(self.parameters()).dtype))


class _Block(nn.Module):
    """Inverted bottleneck x -> x + r(x), which begins as the identity."""

    def __init__(self, num_channels: int, expansion: int, group_size: int) -> None:
        super().__init__()
        hidden = expansion * num_channels
        self.expand = nn.Conv2d(num_channels, hidden, 1)
        self.mix = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden // group_size)
        self.reduce = nn.Conv2d(hidden, num_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.mix(leaky_relu(self.expand(x), SLOPE))
        return x + self.reduce(leaky_relu(hidden, SLOPE))


class _Double(nn.Module):
    """Doubling of the height and width of maps (B, C, H, W) by linear interpolation."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        x = interpolate(x, scale_factor=2, mode="nearest")
        # the mean of each pixel and the next one
        x = avg_pool2d(x, 2, 1, padding=1, count_include_pad=False)
        return x[:, :, 1 : 2 * height + 1, 1 : 2 * width + 1]


class _Halve(nn.Module):
    """Halving of the height and width of maps (B, C, H, W) after the filter [1, 2, 1] / 4."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        # the mean of each pixel and the one before, and then the mean of two of these
        x = avg_pool2d(x, 2, 1, padding=1, count_include_pad=False)
        return avg_pool2d(x[:, :, :height, :width], 2)


def _stages(image_shape: Sequence[int], width: int, max_width: int) -> tuple[list[int], int, int]:
    """Return the channels of each stage, the finest first, and the coarsest height and width."""
    channels, height, width_ = pyramid(image_shape, width, max_width)
    return [*channels, min(2 * channels[-1], max_width)], height, width_


def _blocks(
    num_channels: int, num_blocks: int, expansion: int, group_size: int
) -> list[nn.Module]:
    if num_blocks < 1:
        raise ValueError(
            f"network.num_blocks={num_blocks}: must be 1 or more (blocks of a stage)."
        )
    if expansion < 1:
        raise ValueError(f"network.expansion={expansion}: must be 1 or more.")
    if group_size < 1 or expansion * num_channels % group_size != 0:
        raise ValueError(
            f"network.group_size={group_size} must divide the {expansion * num_channels} hidden "
            f"channels of a block: network.expansion={expansion} times {num_channels} channels, "
            "which network.width and network.max_width set."
        )
    return [_Block(num_channels, expansion, group_size) for _ in range(num_blocks)]


def _change(before: int, after: int) -> list[nn.Module]:
    """Return a 1x1 convolution if the numbers of channels differ."""
    return [] if before == after else [nn.Conv2d(before, after, 1, bias=False)]


def _init(network: nn.Module, *, num_blocks: int) -> None:
    """Draw the weights of a network of `num_blocks` blocks; the basis is drawn already."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, _Block):
            gain = math.sqrt(2 / (1 + SLOPE**2)) * num_blocks**-0.25
            with torch.no_grad():
                module.expand.weight *= gain
                module.mix.weight *= gain
                module.reduce.weight.zero_()
