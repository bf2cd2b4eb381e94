"""Network for style transfer and CycleGAN, Johnson et al. (2016), https://arxiv.org/abs/1603.08155.

    7x7, 3x3 / 2, 3x3 / 2, B residual blocks, doubling, doubling, 7x7, tanh

Instance norm and a ReLU follow each layer but the last, as in Zhu et al. (2017),
https://arxiv.org/abs/1703.10593. A block is h + norm(3x3(ReLU(norm(3x3(h))))). A doubling is a
nearest enlargement and a 3x3 convolution, padded with zeros. The other convolutions are padded by
reflection. With several styles, the norms come from `limner.networks.style_norm`.
"""

__all__ = ["Johnson"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limner.networks.doubling import Doubling, instance_norm, mirrored
from limner.networks.style_norm import Layers, StyleNorm

GAIN_OF_LAST = 0.3  # factor of the last weights, so that tanh starts in its middle


class Johnson(nn.Module):
    """Network from images (B, C_in, H, W) to images (B, C, H, W) in (-1, 1), of any size.

    Mirrored borders enlarge sizes that do not divide by 8, and are cut off at the end.

    Args:
        input_shape: Shape (C_in, H, W) of an input; only C_in matters.
        image_shape: Shape (C, H, W) of an output; only C matters.
        scale: Factor between the sizes, which must be 1.
        width: Number of channels of the finest maps; the blocks have four times as many.
        num_blocks: Number of residual blocks, 0 or more.
        num_styles: Number of styles; with 2 or more, the network reads the style of each image.
    """

    scale = 1
    overlap = None
    """None, since the statistics of instance norm are over the whole image."""
    multiple = 8  # the smallest map of an image has 2x2 pixels, which reflection padding needs
    """Number of pixels to which the sizes of an image are padded."""

    def __init__(
        self,
        *,
        input_shape: Sequence[int],
        image_shape: Sequence[int],
        scale: int,
        width: int,
        num_blocks: int,
        num_styles: int,
    ) -> None:
        if scale != 1:
            raise ValueError(
                f"network=johnson keeps the size of an image, and data.scale is {scale}: choose "
                "network=srresnet, edsr or span."
            )
        if num_styles < 1:
            raise ValueError(f"network.restorer.num_styles={num_styles}: must be 1 or more.")
        super().__init__()
        self.num_styles = num_styles
        last = _conv(width, image_shape[0], 7, bias=True)
        with torch.no_grad():
            last.weight.mul_(GAIN_OF_LAST)
        self.layers = Layers(
            _conv(input_shape[0], width, 7), *_normed(width, num_styles),
            _conv(width, 2 * width, 3, stride=2), *_normed(2 * width, num_styles),
            _conv(2 * width, 4 * width, 3, stride=2), *_normed(4 * width, num_styles),
            *(_Block(4 * width, num_styles) for _ in range(num_blocks)),
            Doubling(4 * width, 2 * width, bias=False), *_normed(2 * width, num_styles),
            Doubling(2 * width, width, bias=False), *_normed(width, num_styles),
            last,
        )  # fmt: skip

    def forward(self, inputs: Tensor, styles: Tensor | None = None) -> Tensor:
        """Return the images; `styles` int64 (B,) or (1,) are needed if there are several."""
        height, width = inputs.shape[2:]
        outputs = self.layers(mirrored(inputs, multiple=self.multiple), styles)
        return torch.tanh(outputs)[:, :, :height, :width]


class _Block(nn.Module):
    takes_styles = True

    def __init__(self, width: int, num_styles: int) -> None:
        super().__init__()
        self.branch = Layers(
            _conv(width, width, 3), *_normed(width, num_styles),
            _conv(width, width, 3), _norm(width, num_styles),
        )  # fmt: skip

    def forward(self, h: Tensor, styles: Tensor | None) -> Tensor:
        return h + self.branch(h, styles)


def _conv(before: int, after: int, size: int, *, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    """Return a convolution padded by reflection; a norm behind it would remove a bias."""
    layer = nn.Conv2d(
        before, after, size, stride=stride, padding=size // 2, padding_mode="reflect", bias=bias
    )
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def _normed(num_channels: int, num_styles: int) -> tuple[nn.Module, nn.Module]:
    return _norm(num_channels, num_styles), nn.ReLU()


def _norm(num_channels: int, num_styles: int) -> nn.Module:
    return instance_norm(num_channels) if num_styles == 1 else StyleNorm(num_channels, num_styles)
