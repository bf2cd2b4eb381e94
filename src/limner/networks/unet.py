"""U-Net of pix2pix, Isola et al. (2017), https://arxiv.org/abs/1611.07004, appendix 6.1.

Each of n levels halves the map with a 4x4 convolution of stride 2. Each level on the way back
doubles the map, and gets the map of equal size from the way down beside it.

    down    LReLU, 4x4 / 2, norm               no LReLU first, no norm first and at the bottom
    up      ReLU, doubling, norm, dropout      dropout at the three coarsest levels; the last: tanh

Here a nearest enlargement and a 3x3 convolution double a map, instead of a transposed convolution,
and dropout is an option. With as many levels as the crop allows, the bottom of a crop is a pixel.
"""

__all__ = ["UNet"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limner.networks.doubling import Doubling, instance_norm, mirrored

NUM_DROPPED = 3  # number of coarsest levels with dropout, as in the paper
GAIN_OF_LAST = 0.3  # factor of the last weights, so that tanh starts in its middle
NORMS = ("instance", "none")


class UNet(nn.Module):
    """Network from images (B, C_in, H, W) to images (B, C, H, W) in (-1, 1), of any size.

    Mirrored borders enlarge sizes that do not divide by 2^depth, and are cut off at the end.

    Args:
        input_shape: Shape (C_in, H, W) of an input; only C_in matters.
        image_shape: Shape (C, H, W) of a crop of an output.
        scale: Factor between the sizes, which must be 1.
        width: Number of channels of the finest level. Each coarser level has twice as many, up
            to `max_width`.
        max_width: Largest number of channels of a level.
        depth: Number of levels, at least 2; None for log2 of the shorter side of a crop.
        norm: "instance", the norm of each map of each image; or "none".
        dropout: Probability of dropping a value at the three coarsest levels, in [0, 1).
    """

    scale = 1
    overlap = None
    """None, since an output pixel depends on the whole image."""

    def __init__(
        self,
        *,
        input_shape: Sequence[int],
        image_shape: Sequence[int],
        scale: int,
        width: int,
        max_width: int,
        depth: int | None,
        norm: str,
        dropout: float,
    ) -> None:
        super().__init__()
        if depth is None:
            depth = max(2, int(math.log2(min(image_shape[1:]))))
        _check(scale, depth, norm, dropout)
        self.multiple: int = 2**depth
        """Number of pixels to which the sizes of an image are padded."""
        widths = [min(width * 2**level, max_width) for level in range(depth)]
        before = [input_shape[0], *widths]
        self.downs = nn.ModuleList(
            _down(before[i], widths[i], norm if 0 < i < depth - 1 else "none", is_first=i == 0)
            for i in range(depth)
        )
        self.ups = nn.ModuleList(
            _up(
                widths[i] * (1 if i == depth - 1 else 2), widths[i - 1], norm,
                dropout=dropout if i >= depth - NUM_DROPPED else 0.0,
            )
            for i in range(depth - 1, 0, -1)
        )  # fmt: skip
        self.last = Doubling(2 * widths[0], image_shape[0], gain=GAIN_OF_LAST)

    def forward(self, inputs: Tensor) -> Tensor:
        height, width = inputs.shape[2:]
        h, skips = mirrored(inputs, multiple=self.multiple), []
        for down in self.downs:
            h = down(h)
            skips.append(h)
        h = skips.pop()
        for up in self.ups:
            h = torch.cat([up(h), skips.pop()], 1)
        return torch.tanh(self.last(h.relu()))[:, :, :height, :width]


def _down(before: int, after: int, norm: str, *, is_first: bool) -> nn.Sequential:
    layers: list[nn.Module] = [] if is_first else [nn.LeakyReLU(0.2)]
    conv = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=norm == "none")
    nn.init.kaiming_normal_(conv.weight, a=0.2)
    if norm == "none":  # else the norm would remove a bias
        nn.init.zeros_(conv.bias)
    return nn.Sequential(*layers, conv, *_norm(norm, after))


def _up(before: int, after: int, norm: str, *, dropout: float) -> nn.Sequential:
    dropped = [nn.Dropout(dropout)] if dropout > 0 else []
    doubling = Doubling(before, after, bias=norm == "none")
    return nn.Sequential(nn.ReLU(), doubling, *_norm(norm, after), *dropped)


def _norm(norm: str, num_channels: int) -> list[nn.Module]:
    return [instance_norm(num_channels)] if norm == "instance" else []


def _check(scale: int, depth: int, norm: str, dropout: float) -> None:
    if scale != 1:
        raise ValueError(
            f"network=unet keeps the size of an image, and data.scale is {scale}: choose "
            "network=srresnet, edsr or span."
        )
    if depth < 2:
        raise ValueError(f"network.restorer.depth={depth}: must be 2 or more, or null.")
    if norm not in NORMS:
        raise ValueError(f"network.restorer.norm={norm}: choose one of {', '.join(NORMS)}.")
    if not 0 <= dropout < 1:
        raise ValueError(f"network.restorer.dropout={dropout}: must be 0 or more, and below 1.")
