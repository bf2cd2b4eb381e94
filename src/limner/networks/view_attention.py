"""Attention of a picture to other pictures of one scene, at fractions of a pixel.

For a pixel x of the reference and an offset d = i + f / s of a view n, with a whole part i and a
fraction f in {0 ... s-1},

    c_n(x, d) = mean over a square around x of (grey(reference)(x) - grey(view_n)(x + d))^2
    p_n(x, .) = softmax_d(b(d) - t c_n(x, d)),   o_f(x) = mean_n sum_i p_n(x, i + f / s) v_n(x + i)

The view has a sample at x + i, which lies at x - f / s in the reference. So the fraction chooses
the channels of the result: o is a picture with s times as many samples in each direction, as far
as the views have such samples. Values between pixels come from bicubic interpolation. The
offsets run over a window, or over the row of a pixel. The sharpness t and the biases b are
learned.

Attention to a neighbourhood: Ramachandran et al. (2019), https://arxiv.org/abs/1906.05909.
Attention along rows: Wang et al. (2019), https://arxiv.org/abs/1903.05784. Samples of several
pictures in a finer grid: Wronski et al. (2019), https://arxiv.org/abs/1905.03277.
"""

__all__ = ["RowAttention", "WindowAttention"]

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, unfold

BEYOND = 1e4
"""Cost of an offset beyond the border; finite, so that no gradient is NaN."""
SHARPNESS = 1e4
"""Initial factor t of the costs of pictures in [-1, 1]."""


class WindowAttention(nn.Module):
    """Attention to a window of each view, for small motions in any direction.

    Args:
        scale: Number s of fractions of a pixel in each direction.
        radius: Largest whole part of an offset in pixels, at least 0, in each direction.
        smoothing: Number of pixels on each side of x over which costs are averaged, at least 0.
    """

    def __init__(self, *, scale: int, radius: int, smoothing: int) -> None:
        super().__init__()
        _check(radius=radius, smoothing=smoothing)
        self.scale, self.radius, self.smoothing = scale, radius, smoothing
        self.num_planes = scale**2
        """Number of fractions, which are channels of the result."""
        self.reach: int | None = 2 + radius + smoothing
        """Number of pixels on each side that the weights depend on; None for a whole row."""
        self.offsets = list(itertools.product(range(-radius, radius + 1), repeat=2))
        self.sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)))
        self.bias = nn.Parameter(torch.zeros(len(self.offsets), self.num_planes))
        rows = _interpolation(scale)
        kernels = torch.einsum("ia,jb->ijab", rows, rows).flatten(0, 1)
        self.register_buffer("kernels", kernels[:, None], persistent=False)

    def forward(self, reference: Tensor, views: Tensor, values: Tensor) -> Tensor:
        """Return the mean over the views of the placed values, (B, P, V, h, w).

        Args:
            reference: Reference (B, C, h, w).
            views: Views (B, N, C, h, w).
            values: Values (B, N, V, h, w) of the views.
        """
        num_views = views.shape[1]
        costs = self._costs(_grey(reference), _grey(views.flatten(0, 1)))  # (BN, I, P, h, w)
        logits = self.bias[:, :, None, None] - self.sharpness.exp() * costs
        weights = logits.flatten(1, 2).softmax(1).to(values.dtype)
        weights = weights.unflatten(1, logits.shape[1:3]).unflatten(0, (-1, num_views))
        near = self._shifted(values.flatten(0, 1)).unflatten(0, (-1, num_views))
        # at each pixel: (P, N * I) x (N * I, V)
        weights = weights.permute(0, 4, 5, 3, 1, 2).flatten(4)
        near = near.permute(0, 4, 5, 1, 2, 3).flatten(3, 4)
        return (weights @ near).permute(0, 3, 4, 1, 2) / num_views

    @torch.no_grad()
    def _costs(self, reference: Tensor, views: Tensor) -> Tensor:
        """Return the cost of each offset (BN, I, P, h, w) of grey pictures (., 1, h, w)."""
        side, (height, width) = self.smoothing, reference.shape[2:]
        queries = pad(reference, (side,) * 4, mode="replicate")[:, None]
        planes = _between(views, self.kernels).unflatten(0, (reference.shape[0], -1))
        planes = pad(planes.flatten(0, 1), (self.radius + side,) * 4, mode="replicate")
        planes = planes.unflatten(0, (reference.shape[0], -1))
        costs = planes.new_empty(
            *planes.shape[:2], len(self.offsets), self.num_planes, height, width
        )
        for i, (down, across) in enumerate(self.offsets):
            near = planes[..., self.radius + down :, self.radius + across :]
            near = near[..., : height + 2 * side, : width + 2 * side]
            squares = (near - queries).square_()
            costs[:, :, i] = _sums(_sums(squares, 2 * side + 1, 3), 2 * side + 1, 4)
        costs = costs.flatten(0, 1).div_((2 * side + 1) ** 2)
        there = self._shifted(torch.ones_like(reference[:1]))[0] > 0  # (I, 1, h, w)
        return costs.masked_fill_(~there, BEYOND)

    def _shifted(self, maps: Tensor) -> Tensor:
        """Return maps (B, C, h, w) at all whole offsets, (B, I, C, h, w), and 0 beyond them."""
        (height, width), r = maps.shape[2:], self.radius
        around = pad(maps, (r,) * 4)
        parts = [
            around[:, :, r + down : r + down + height, r + across : r + across + width]
            for down, across in self.offsets
        ]
        return torch.stack(parts, 1)


class RowAttention(nn.Module):
    """Attention to the whole row of each view, for rectified views, which differ along rows.

    Args:
        scale: Number s of fractions of a pixel along the row.
        smoothing: Number of pixels on each side of x over which costs are averaged, at least 0.
    """

    reach: int | None = None

    def __init__(self, *, scale: int, smoothing: int) -> None:
        super().__init__()
        _check(smoothing=smoothing)
        self.scale, self.num_planes, self.smoothing = scale, scale, smoothing
        self.sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)))
        self.bias = nn.Parameter(torch.zeros(scale))
        kernels = _interpolation(scale)[:, None, None]
        self.register_buffer("kernels", kernels, persistent=False)

    def forward(self, reference: Tensor, views: Tensor, values: Tensor) -> Tensor:
        """Return the mean over the views of the placed values, see `WindowAttention.forward`."""
        num_views = views.shape[1]
        costs = self._costs(_grey(reference), _grey(views.flatten(0, 1)), num_views)
        logits = self.bias[:, None, None, None] - self.sharpness.exp() * costs
        weights = logits.movedim(2, -1).flatten(-2).softmax(-1).to(values.dtype)
        # (B, N, h, w, w * P) -> (B, h, P, w, N * w)
        weights = weights.unflatten(-1, (-1, self.scale)).permute(0, 2, 5, 3, 1, 4).flatten(4)
        row = values.permute(0, 3, 1, 4, 2).flatten(2, 3)[:, :, None]  # (B, h, 1, N * w, V)
        found = weights @ row  # (B, h, P, w, V)
        return found.permute(0, 2, 4, 1, 3) / num_views

    @torch.no_grad()
    def _costs(self, reference: Tensor, views: Tensor, num_views: int) -> Tensor:
        """Return the cost of each place of a row for each pixel of it, (B, N, P, h, w, w)."""
        with torch.autocast(reference.device.type, enabled=False):
            queries = self._squares(reference)  # (B, h, w, D)
            planes = _between(views, self.kernels)
            keys = self._squares(planes.flatten(0, 1)[:, None])
            keys = keys.unflatten(0, (-1, num_views, self.scale))
            products = queries[:, None, None] @ keys.transpose(-1, -2)
            lengths = queries.square().sum(-1)[:, None, None, ..., None]
            costs = lengths + keys.square().sum(-1)[..., None, :] - 2 * products
            return costs / queries.shape[-1]

    def _squares(self, grey: Tensor) -> Tensor:
        """Return the squares around the pixels of pictures (B, 1, h, w), (B, h, w, D)."""
        around = pad(grey, (self.smoothing,) * 4, mode="replicate")
        squares = unfold(around, 2 * self.smoothing + 1)
        return squares.unflatten(2, grey.shape[2:]).movedim(1, -1)


def _grey(pictures: Tensor) -> Tensor:
    """Return the mean (B, 1, h, w) of the channels of pictures, in float32 or float64."""
    dtype = torch.promote_types(pictures.dtype, torch.float32)
    return pictures.to(dtype).mean(1, keepdim=True)


def _between(grey: Tensor, kernels: Tensor) -> Tensor:
    """Return pictures (B, 1, h, w) at x + f / s for all fractions f, (B, P, h, w)."""
    down, across = (size // 2 for size in kernels.shape[2:])  # 4 taps from -1 to 2, or 1 tap
    around = pad(grey, (across // 2, across, down // 2, down), mode="replicate")
    with torch.autocast(grey.device.type, enabled=False):
        return conv2d(around, kernels.to(grey.dtype))


def _interpolation(scale: int) -> Tensor:
    """Return the weights of the pixels -1 to 2 in Keys' interpolation at f / s, (s, 4)."""
    distance = (torch.arange(scale)[:, None] / scale - torch.arange(-1, 3)).abs()
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    return near.where(distance < 1, far.where(distance < 2, 0.0))


def _sums(values: Tensor, size: int, dim: int) -> Tensor:
    """Return the sums of `size` successive values along a dimension, which becomes shorter."""
    total, start, length = None, 0, values.shape[dim] - size + 1
    power = 1
    while True:
        if size & power:
            part = values.narrow(dim, start, length)
            total = part.clone() if total is None else total.add_(part)
            start += power
        if 2 * power > size:
            return total
        values = values.narrow(dim, 0, values.shape[dim] - power) + values.narrow(
            dim, power, values.shape[dim] - power
        )
        power *= 2


def _check(**values: int) -> None:
    for key, value in values.items():
        if value < 0:
            raise ValueError(f"network.restorer.attention.{key}={value}: must be 0 or more.")
