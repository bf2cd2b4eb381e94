"""SRResNet of Ledig et al. (2017), https://arxiv.org/abs/1609.04802, without batch norm.

    3x3, B blocks, enlargement, 3x3, LReLU, 3x3, + the input enlarged by bicubic interpolation

A block is h + 3x3(ReLU(3x3(h))). The enlargement has a 3x3 convolution, a pixel shuffle and a
LReLU for each prime factor of the scale. As in the recipes of BasicSR, there is no batch norm and
no skip around all blocks, and the enlarged input is added instead. With scale 1, the network
restores images of the same size.
"""

__all__ = ["Residual", "SRResNet"]

from collections.abc import Sequence

from torch import Tensor, nn

from limner.networks.enlargement import (
    Bicubic,
    check_channels,
    conv3,
    enlarging,
    prime_factors,
    reach_before,
)

GAIN_OF_BLOCKS = 0.1  # factor of the initial weights, so that each block starts near the identity
GAIN_OF_LAST = 0.01  # so that the network starts near the enlarged input


class SRResNet(nn.Module):
    """Network from images (B, C_in, h, w) to images (B, C, scale * h, scale * w), of any size.

    The first C channels of the input are the image to change; the others help.

    Args:
        input_shape: Shape (C_in, h, w) of an input; only C_in matters.
        image_shape: Shape (C, H, W) of an output; only C matters.
        scale: Whole factor between the sizes, at least 1.
        width: Number of channels of the maps.
        num_blocks: Number of residual blocks, 0 or more.
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
        super().__init__()
        before, after = check_channels(input_shape, image_shape)
        factors = prime_factors(scale)
        self.scale, self.num_outputs = scale, after
        self.overlap: int = 1 + 2 * num_blocks + reach_before(factors, reach=2)
        """Number of input pixels on each side that an output pixel depends on."""
        self.layers = nn.Sequential(
            conv3(before, width), nn.LeakyReLU(0.1),
            *(Residual(width, factor=1.0) for _ in range(num_blocks)),
            *enlarging(width, factors, activation=nn.LeakyReLU(0.1)),
            conv3(width, width), nn.LeakyReLU(0.1),
            conv3(width, after, gain=GAIN_OF_LAST),
        )  # fmt: skip
        self.enlarge = Bicubic(scale=scale)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.enlarge(inputs[:, : self.num_outputs]) + self.layers(inputs)


class Residual(nn.Module):
    """Block h + factor * 3x3(ReLU(3x3(h))) without a norm."""

    def __init__(self, width: int, *, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.branch = nn.Sequential(
            conv3(width, width, gain=GAIN_OF_BLOCKS), nn.ReLU(),
            conv3(width, width, gain=GAIN_OF_BLOCKS),
        )  # fmt: skip

    def forward(self, h: Tensor) -> Tensor:
        return h + self.factor * self.branch(h)
