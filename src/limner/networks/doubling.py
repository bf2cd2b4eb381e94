"""Enlargement by 2 with a convolution behind it, and borders that mirror a picture.

    doubled(x) = 3x3(nearest(x))            Odena et al. (2016), https://doi.org/10.23915/distill.00003

Each output pixel reads at most 2x2 different pixels of x, since the nearest neighbours repeat. So
the same function is a transposed convolution of stride 2 with the 4x4 kernel

    K[i, j] = k[i, j] + k[i - 1, j] + k[i, j - 1] + k[i - 1, j - 1]        k: the 3x3 kernel

with 4 products for each output pixel instead of 9. It has no checkerboard pattern, which a
transposed convolution with free weights has.
"""

__all__ = ["Doubling", "instance_norm", "mirrored"]

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, interpolate, pad

from limner.networks.enlargement import conv3

FEW_WEIGHTS = 2**15
"""Largest number of pairs of channels for which the transposed convolution is faster on a CPU."""


class Doubling(nn.Module):
    """Nearest enlargement of maps (B, before, h, w) by 2, and a 3x3 convolution with `after` maps.

    Args:
        before: Number of channels of the inputs.
        after: Number of channels of the outputs (B, after, 2h, 2w).
        gain: Factor of He's initial weights.
        bias: Whether the convolution adds a bias, which a norm behind it would remove.
    """

    def __init__(self, before: int, after: int, *, gain: float = 1.0, bias: bool = True) -> None:
        super().__init__()
        self.conv = conv3(before, after, gain=gain)
        if not bias:
            self.conv.bias = None
        self.is_transposed = before * after <= FEW_WEIGHTS

    def forward(self, h: Tensor) -> Tensor:
        if not self.is_transposed:
            return self.conv(interpolate(h, scale_factor=2.0))
        kernel = self.conv.weight
        wide = pad(kernel, (0, 1)) + pad(kernel, (1, 0))
        square = pad(wide, (0, 0, 0, 1)) + pad(wide, (0, 0, 1, 0))
        return conv_transpose2d(
            h, square.flip(2, 3).transpose(0, 1), self.conv.bias, stride=2, padding=1
        )


def instance_norm(num_channels: int) -> nn.Module:
    """Return the norm of each map of each image, with learned factors, the same in both modes.

    Ulyanov et al. (2016), https://arxiv.org/abs/1607.08022. There are no running statistics, so
    evaluation equals training. The statistics are over the whole map.
    """
    return nn.InstanceNorm2d(num_channels, affine=True)


def mirrored(images: Tensor, *, multiple: int) -> Tensor:
    """Return images (B, C, H, W) enlarged at the right and the bottom to multiples of `multiple`.

    The mirror stands behind the last pixel, which is repeated, and the pattern repeats
    periodically. So images of any size, even of one pixel, can be enlarged by any width.
    """
    for axis in (2, 3):
        size = images.shape[axis]
        wanted = (size + multiple - 1) // multiple * multiple  # ONNX rounds towards 0
        # as a tensor, since ONNX has no remainder by a size that is not known
        period = torch.scalar_tensor(2 * size, dtype=torch.int64, device=images.device)
        places = torch.arange(wanted, device=images.device) % period
        images = images.index_select(axis, torch.minimum(places, period - 1 - places))
    return images
