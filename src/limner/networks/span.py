"""SPAN of Wan et al. (2024), https://arxiv.org/abs/2311.12770: attention without parameters.

A block has three 3x3 convolutions, and its attention comes from its own features:

    o = 3x3(SiLU(3x3(SiLU(3x3(h)))));    block(h) = (o + h) * (sigmoid(o) - 0.5)

The last block's maps pass a 3x3 convolution. They join the maps before the first block, after the
first block and before the last block, and a 1x1 convolution mixes all of them. A 3x3 convolution
and one pixel shuffle make the image, and the input enlarged by bicubic interpolation is added.
The paper trains each 3x3 convolution as a group of convolutions that are merged afterwards. Here
they are plain, so that training computes what the trained model computes.
"""

__all__ = ["SPAN"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limner.networks.enlargement import Bicubic, check_channels, conv3, prime_factors
from limner.networks.srresnet import GAIN_OF_LAST

GAIN_OF_ATTENTION = 3.0  # initial features that sigmoid maps to about 0.1 and 0.9


class SPAN(nn.Module):
    """Network from images (B, C_in, h, w) to images (B, C, scale * h, scale * w), of any size.

    The first C channels of the input are the image to change; the others help.

    Args:
        input_shape: Shape (C_in, h, w) of an input; only C_in matters.
        image_shape: Shape (C, H, W) of an output; only C matters.
        scale: Whole factor between the sizes, at least 1.
        width: Number of channels of the maps.
        num_blocks: Number of blocks, at least 2.
    """

    multiple = 1
    """Number of pixels by which the borders of tiles must divide."""

    def __init__(
        self,
        *,
        input_shape: Sequence[int],
        image_shape: Sequence[int],
        scale: int,
        width: int,
        num_blocks: int,
    ) -> None:
        if num_blocks < 2:
            raise ValueError(f"network.restorer.num_blocks={num_blocks}: must be 2 or more.")
        super().__init__()
        before, after = check_channels(input_shape, image_shape)
        prime_factors(scale)  # checks the scale
        self.scale, self.num_outputs = scale, after
        self.overlap: int = 1 + 3 * num_blocks + 1 + 1
        """Number of input pixels on each side that an output pixel depends on."""
        self.head = conv3(before, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(num_blocks))
        self.after_blocks = conv3(width, width)
        self.mix = nn.Conv2d(4 * width, width, 1)
        self.tail = nn.Sequential(
            conv3(width, after * scale**2, gain=GAIN_OF_LAST), nn.PixelShuffle(scale)
        )
        self.enlarge = Bicubic(scale=scale)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = [self.head(inputs)]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        chosen = [maps[0], maps[1], maps[-2], self.after_blocks(maps[-1])]
        return self.enlarge(inputs[:, : self.num_outputs]) + self.tail(
            self.mix(torch.cat(chosen, 1))
        )


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv3(width, width), nn.SiLU(), conv3(width, width), nn.SiLU(),
            conv3(width, width, gain=GAIN_OF_ATTENTION / math.sqrt(2)),
        )  # fmt: skip

    def forward(self, h: Tensor) -> Tensor:
        features = self.features(h)
        return (features + h) * (features.sigmoid() - 0.5)
