"""EDSR of Lim et al. (2017), https://arxiv.org/abs/1707.02921, with the enlarged input added.

    h = 3x3(input);  h + 3x3(B blocks(h));  enlargement;  3x3;  + the input enlarged by bicubic
    interpolation

A block is h + residual_scaling * 3x3(ReLU(3x3(h))). The paper subtracts the mean of the data set
instead of adding the enlarged input. With it, the network starts near bicubic interpolation. The
enlargement "steps" is the paper's: a 3x3 convolution and a pixel shuffle for each prime factor of
the scale. "direct" has one pixel shuffle of the last convolution, as SwinIR's small models,
https://arxiv.org/abs/2108.10257. It is several times faster for narrow networks, since no
convolution works on enlarged maps.
"""

__all__ = ["EDSR"]

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from limner.networks.enlargement import (
    Bicubic,
    check_channels,
    conv3,
    enlarging,
    prime_factors,
    reach_before,
)
from limner.networks.srresnet import GAIN_OF_LAST, Residual


class EDSR(nn.Module):
    """Network from images (B, C_in, h, w) to images (B, C, scale * h, scale * w), of any size.

    The first C channels of the input are the image to change; the others help.

    Args:
        input_shape: Shape (C_in, h, w) of an input; only C_in matters.
        image_shape: Shape (C, H, W) of an output; only C matters.
        scale: Whole factor between the sizes, at least 1.
        width: Number of channels of the maps.
        num_blocks: Number of residual blocks, 0 or more.
        residual_scaling: Factor of each block's branch; 0.1 keeps wide networks stable.
        enlargement: "steps" or "direct".
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
        residual_scaling: float,
        enlargement: Literal["steps", "direct"],
    ) -> None:
        super().__init__()
        before, after = check_channels(input_shape, image_shape)
        factors = prime_factors(scale)
        self.scale, self.num_outputs = scale, after
        self.head = conv3(before, width)
        self.body = nn.Sequential(
            *(Residual(width, factor=residual_scaling) for _ in range(num_blocks)),
            conv3(width, width),
        )
        if enlargement == "direct":
            reach = 1
            self.tail = nn.Sequential(
                conv3(width, after * scale**2, gain=GAIN_OF_LAST), nn.PixelShuffle(scale)
            )
        else:
            reach = reach_before(factors, reach=1)
            self.tail = enlarging(width, factors, activation=None)
            self.tail.append(conv3(width, after, gain=GAIN_OF_LAST))
        self.overlap: int = 1 + 2 * num_blocks + 1 + reach
        """Number of input pixels on each side that an output pixel depends on."""
        self.enlarge = Bicubic(scale=scale)

    def forward(self, inputs: Tensor) -> Tensor:
        h = self.head(inputs)
        return self.enlarge(inputs[:, : self.num_outputs]) + self.tail(h + self.body(h))
