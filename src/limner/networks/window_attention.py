"""Attention to a window of an image: a grid of Gaussian filters with a centre, stride and width.

Filter i of the N filters of an axis has its mean at

    mu_i = g + (i - (N - 1) / 2) stride,        i = 0 ... N - 1, in pixels

and F[i, a] is proportional to exp(-(a - mu_i)^2 / (2 variance)), with the sum 1 over the pixels a
of the axis. An N x N window is read as  gain F_y x F_x^T  and written as  F_y^T w F_x / gain.
Gregor et al. (2015), section 3.2, https://arxiv.org/abs/1502.04623.
"""

__all__ = ["Filters", "Window"]

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

LARGEST_LOG = 8.0
"""Bound of log variance, log stride and log gain, so that filters remain finite."""

SMALLEST_LOG = -30.0
"""Smallest logarithm of a filter's value, relative to its largest value."""


class Filters(NamedTuple):
    """Filters of one window for each of B images of height H and width W."""

    y: Tensor
    """Filters of the vertical axis, (B, N, H)."""
    x: Tensor
    """Filters of the horizontal axis, (B, N, W)."""
    gain: Tensor
    """Factor (B, 1, 1) of what is read; what is written is divided by it."""

    def read(self, images: Tensor) -> Tensor:
        """Return the windows (B, N, C, N) of images (B, H, C, W)."""
        batch, _, channels, width = images.shape
        with torch.autocast(images.device.type, enabled=False):  # products in float32
            rows = (self.y @ images.float().flatten(2)).view(batch, -1, width)
            windows = self.gain * (rows @ self.x.transpose(1, 2))
        return windows.unflatten(1, (-1, channels))

    def write(self, windows: Tensor) -> Tensor:
        """Return images (B, H, C, W) with windows (B, N, C, N), and 0 elsewhere."""
        channels = windows.shape[2]
        with torch.autocast(windows.device.type, enabled=False):
            rows = (windows.float().flatten(1, 2) / self.gain) @ self.x
            images = self.y.transpose(1, 2) @ rows.unflatten(1, (-1, channels)).flatten(2)
        return images.unflatten(2, (channels, -1))


class Window(nn.Module):
    """Filters of a window that a linear layer of a hidden state places.

    A new window covers the whole image, and its filters meet: their standard deviation is half a
    stride. A new window that writes has a gain at which ones write about ones. With the variance
    and the gain 1 of the paper's formulas, a coarse window writes about 0, and learns slowly.

    Args:
        hidden_size: Size of the hidden state.
        size: Number N of filters for each axis, at least 1.
        height: Height H of an image in pixels.
        width: Width W of an image in pixels.
        writes: Whether the window writes; otherwise it reads.
    """

    def __init__(
        self, hidden_size: int, *, size: int, height: int, width: int, writes: bool
    ) -> None:
        super().__init__()
        self.place = nn.Linear(hidden_size, 5)
        self.height, self.width = height, width
        stride = (max(height, width) - 1) / max(size - 1, 1)
        log_stride = math.log(max(stride, 1))
        log_variance, log_gain = 2 * (log_stride - math.log(2)), -2 * log_stride * writes
        with torch.no_grad():
            self.place.bias.copy_(torch.tensor([0, 0, log_variance, 0, log_gain]))
        offsets = stride * (torch.arange(size) - (size - 1) / 2)
        self.register_buffer("offsets", offsets, persistent=False)
        halves = torch.tensor([(height + 1) / 2, (width + 1) / 2])
        self.register_buffer("halves", halves, persistent=False)
        pixels = torch.arange(max(height, width)).float()
        self.register_buffer("pixels", pixels, persistent=False)

    def forward(self, hidden: Tensor) -> Filters:
        """Return the filters for hidden states (B, hidden_size)."""
        with torch.autocast(hidden.device.type, enabled=False):  # the place needs float32
            centre, logs = self.place(hidden.float()).split([2, 3], dim=1)
        log_variance, log_stride, log_gain = logs.clamp(-LARGEST_LOG, LARGEST_LOG).chunk(3, dim=1)
        centre = (centre + 1) * self.halves - 1
        means = centre[:, :, None] + log_stride.exp()[:, :, None] * self.offsets
        precision = (-log_variance).exp()[:, :, None, None]
        y, x = self._filters(means, precision)
        return Filters(y, x, log_gain.exp()[:, :, None])

    def _filters(self, means: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
        """Return both axes' filters for means (B, 2, N); both at once if their sizes are equal."""
        if self.height == self.width:
            y, x = _gaussians(self.pixels, means, precision).unbind(1)
            return y, x
        sizes = self.height, self.width
        y, x = (
            _gaussians(self.pixels[:size], means[:, axis : axis + 1], precision).squeeze(1)
            for axis, size in enumerate(sizes)
        )
        return y, x


def _gaussians(pixels: Tensor, means: Tensor, precision: Tensor) -> Tensor:
    """Return Gaussians (B, A, N, S) that sum to 1 over S pixels; softmax never divides by 0.

    Logits are relative to the nearest pixel, and bounded: numbers below 1e-38 would be ten times
    slower on a CPU.
    """
    middle = means.detach()
    nearest = (middle - middle.clamp(0, len(pixels) - 1).round()).square()
    squares = (pixels - means[..., None]).square() - nearest[..., None]
    return torch.softmax((squares * (-0.5 * precision)).clamp(min=SMALLEST_LOG), dim=-1)
