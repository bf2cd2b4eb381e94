"""NAFNet of Chen et al. (2022), https://arxiv.org/abs/2204.04676: restoration by gates alone.

A block has two parts, each behind a layer norm over the channels of a pixel, and each added with
learned factors that start at 0:

    h + beta  * 1x1(SCA(gate(depthwise 3x3(1x1(norm(h))))))       1x1 doubles the channels
    h + gamma * 1x1(gate(1x1(norm(h))))

    gate(a, b) = a * b of the two halves of the channels          SimpleGate
    SCA(x) = x * 1x1(mean of x over all pixels)                   simplified channel attention

The network is a U: each level halves the map with a strided 2x2 convolution and doubles its
channels, and a 1x1 convolution with a pixel shuffle doubles the map again. Maps of equal size are
added. The input is added to the output. The attention averages over the whole image, so an output
pixel depends on all input pixels.
"""

__all__ = ["NAFNet"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, pad

from limner.networks.enlargement import check_channels, conv3
from limner.networks.srresnet import GAIN_OF_LAST


class NAFNet(nn.Module):
    """Network from images (B, C_in, H, W) to images (B, C, H, W), of any size.

    The first C channels of the input are the image to change; the others help. Sizes that do not
    divide by 2^levels are padded inside.

    Args:
        input_shape: Shape (C_in, H, W) of an input; only C_in matters.
        image_shape: Shape (C, H, W) of an output; only C matters.
        scale: Factor between the sizes, which must be 1.
        width: Number of channels of the finest level.
        encoder_blocks: Number of blocks of each level on the way down, the finest level first.
        middle_blocks: Number of blocks at the coarsest size, 0 or more.
        decoder_blocks: Number of blocks of each level on the way up, the coarsest level first.
    """

    overlap = None
    """None, since an output pixel depends on the whole image."""

    def __init__(
        self,
        *,
        input_shape: Sequence[int],
        image_shape: Sequence[int],
        scale: int,
        width: int,
        encoder_blocks: Sequence[int],
        middle_blocks: int,
        decoder_blocks: Sequence[int],
    ) -> None:
        _check(scale, encoder_blocks, middle_blocks, decoder_blocks)
        super().__init__()
        before, after = check_channels(input_shape, image_shape)
        self.scale, self.num_outputs = scale, after
        levels = len(encoder_blocks)
        self.multiple: int = 2**levels
        """Number of pixels to which the sizes of an image are padded."""
        widths = [width * 2**level for level in range(levels)]
        self.head = conv3(before, width)
        self.encoders = nn.ModuleList(map(_blocks, widths, encoder_blocks))
        self.halvings = nn.ModuleList(nn.Conv2d(w, 2 * w, 2, stride=2) for w in widths)
        self.middle = _blocks(width * 2**levels, middle_blocks)
        self.doublings = nn.ModuleList(_doubling(2 * w) for w in reversed(widths))
        self.decoders = nn.ModuleList(map(_blocks, reversed(widths), decoder_blocks))
        self.tail = conv3(width, after, gain=GAIN_OF_LAST)

    def forward(self, inputs: Tensor) -> Tensor:
        height, width = inputs.shape[2:]
        multiple = self.multiple
        bottom, right = ((multiple - side % multiple) % multiple for side in (height, width))
        h = self.head(pad(inputs, (0, right, 0, bottom)))
        skips = []
        for encoder, halve in zip(self.encoders, self.halvings, strict=True):
            skips.append(encoder(h))
            h = halve(skips[-1])
        h = self.middle(h)
        for double, decoder in zip(self.doublings, self.decoders, strict=True):
            h = decoder(double(h) + skips.pop())
        return inputs[:, : self.num_outputs] + self.tail(h)[:, :, :height, :width]


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            _ChannelNorm(width), nn.Conv2d(width, 2 * width, 1),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width),
            _Gate(), _Attention(width), nn.Conv2d(width, width, 1),
        )  # fmt: skip
        self.second = nn.Sequential(
            _ChannelNorm(width), nn.Conv2d(width, 2 * width, 1), _Gate(),
            nn.Conv2d(width, width, 1),
        )  # fmt: skip
        self.beta = nn.Parameter(torch.zeros(width, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(width, 1, 1))

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.beta * self.first(h)
        return h + self.gamma * self.second(h)


class _ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel of maps (B, C, H, W)."""

    def forward(self, h: Tensor) -> Tensor:
        normed = layer_norm(
            h.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps
        )
        return normed.permute(0, 3, 1, 2)


class _Gate(nn.Module):
    def forward(self, h: Tensor) -> Tensor:
        left, right = h.chunk(2, dim=1)
        return left * right


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(width, width, 1)

    def forward(self, h: Tensor) -> Tensor:
        return h * self.weigh(h.mean((2, 3), keepdim=True))


def _blocks(width: int, num_blocks: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(width) for _ in range(num_blocks)))


def _doubling(width: int) -> nn.Sequential:
    """Return layers from maps (B, width, h, w) to (B, width / 2, 2h, 2w)."""
    return nn.Sequential(nn.Conv2d(width, 2 * width, 1, bias=False), nn.PixelShuffle(2))


def _check(
    scale: int,
    encoder_blocks: Sequence[int],
    middle_blocks: int,
    decoder_blocks: Sequence[int],
) -> None:
    if scale != 1:
        raise ValueError(
            f"network=nafnet keeps the size of an image, and data.scale is {scale}: choose "
            "network=srresnet, edsr or span."
        )
    if len(encoder_blocks) != len(decoder_blocks):
        raise ValueError(
            f"network.restorer.decoder_blocks={list(decoder_blocks)}: needs one number for each "
            f"of the {len(encoder_blocks)} levels in encoder_blocks={list(encoder_blocks)}."
        )
    if not encoder_blocks or min(*encoder_blocks, middle_blocks, *decoder_blocks) < 0:
        raise ValueError(
            f"network.restorer.encoder_blocks={list(encoder_blocks)}, middle_blocks="
            f"{middle_blocks}, decoder_blocks={list(decoder_blocks)}: one level or more, and "
            "numbers of 0 or more."
        )
