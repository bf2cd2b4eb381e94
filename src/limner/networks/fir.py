"""Resampling by 2 with the low-pass filter of StyleGAN2, Karras et al. (2020), section 4.

    F = f^T f,  f = [1, 3, 3, 1] / 8        filtered(h) = F * h

    doubled(h)     4 F * (h with a zero behind each pixel)      bilinear enlargement
    halved(h)      every second pixel of F * h

https://arxiv.org/abs/1912.04958. Outside the map are zeros. The weights with which the pixels of a
map contribute to one pixel of its double sum to 1, except at the edge of the map, and so do the
weights of its half. Written from the paper.
"""

__all__ = ["Filter"]

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

TAPS = (1.0, 3.0, 3.0, 1.0)


class Filter(nn.Module):
    """The filter F on maps (B, num_channels, h, w), as a convolution of each channel by itself.

    Args:
        num_channels: Number of channels of the maps.
    """

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        taps = torch.tensor(TAPS) / sum(TAPS)
        kernel = torch.outer(taps, taps).expand(num_channels, 1, -1, -1).contiguous()
        self.register_buffer("kernel", kernel, persistent=False)
        self.num_channels = num_channels

    def doubled(self, h: Tensor) -> Tensor:
        """Return maps (B, C, 2h, 2w)."""
        kernel = 4 * self.kernel.to(h)
        return conv_transpose2d(h, kernel, stride=2, padding=1, groups=self.num_channels)

    def halved(self, h: Tensor) -> Tensor:
        """Return maps (B, C, h / 2, w / 2); h and w are even."""
        return self._filtered(h, padding=1, stride=2)

    def before_halving(self, h: Tensor) -> Tensor:
        """Return maps (B, C, h + 1, w + 1), which a 3x3 convolution of stride 2 halves."""
        return self._filtered(h, padding=2)

    def after_doubling(self, h: Tensor) -> Tensor:
        """Return maps (B, C, h - 1, w - 1) of what a transposed convolution of stride 2 gives."""
        return 4 * self._filtered(h, padding=1)

    def _filtered(self, h: Tensor, *, padding: int, stride: int = 1) -> Tensor:
        kernel = self.kernel.to(h)
        return conv2d(h, kernel, padding=padding, stride=stride, groups=self.num_channels)
