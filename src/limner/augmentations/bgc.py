"""ADA's pixel blitting, geometric and colour transformations, each with probability p.

Karras et al. (2020), appendix B, https://arxiv.org/abs/2006.06676: those of its transformations
that the paper trains with. Random numbers are taken in a fixed order, p is a tensor, and what is
not applied takes its neutral value: nothing here waits for the device.

In one thing this is simpler than the paper: pixels are looked up bilinearly in the image as it is,
without the wavelet filters around it, so images that were turned or scaled are a little softer.
"""

__all__ = ["NUM_DRAWS_COLOUR", "NUM_DRAWS_GEOMETRY", "change_colour", "move"]

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

NUM_DRAWS_GEOMETRY, NUM_DRAWS_COLOUR = 18, 10


def move(images: Tensor, *, uniform: Tensor, p: Tensor) -> Tensor:
    """Images (B, C, H, W), flipped, turned, moved and scaled; beyond the border it is mirrored.

    Args:
        images: (B, C, H, W).
        uniform: (B, NUM_DRAWS_GEOMETRY), from U[0, 1).
        p: Probability of each transformation, () in [0, 1].
    """
    height, width = images.shape[2:]
    source = _source(_Draws(uniform), p, height=height, width=width)
    # from pixels around the centre to the units of grid_sample, in which the border is at 1
    size = source.new_tensor([width / 2, height / 2, 1])
    source = source * size / size[:, None]
    grid = affine_grid(source[:, :2].to(images.dtype), list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def change_colour(images: Tensor, *, uniform: Tensor, p: Tensor) -> Tensor:
    """Images (B, C, H, W) of other brightness, contrast, hue and saturation; C is 1 or 3.

    With P the projection onto the grey axis and K the cross product with its unit vector, contrast
    c, luma flip f = +-1, hue angle h and saturation s together are the matrix

        c (f P + s (cos(h) (I - P) + sin(h) K))

    applied to x + b, for each acts on the grey axis and on the plane across it by itself.

    Args:
        images: In [-1, 1].
        uniform: (B, NUM_DRAWS_COLOUR), from U[0, 1).
        p: Probability of each transformation, () in [0, 1].
    """
    draws = _Draws(uniform)
    brightness = draws.maybe(p, 0.2 * draws.normal(), 0.0)
    contrast = draws.maybe(p, torch.exp2(0.5 * draws.normal()), 1.0)
    luma = draws.maybe(p, 1 - 2 * draws.integer(2), 1.0)
    hue = draws.maybe(p, draws.angle(), 0.0)
    saturation = draws.maybe(p, torch.exp2(draws.normal()), 1.0)
    images = images + brightness.to(images.dtype)[:, None, None, None]
    if images.shape[1] == 1:
        return images * (contrast * luma).to(images.dtype)[:, None, None, None]
    identity = torch.eye(3, device=images.device)
    grey = torch.full_like(identity, 1 / 3)
    across = (identity.roll(1, 0) - identity.roll(-1, 0)) / math.sqrt(3)
    luma, hue, saturation = (each[:, None, None] for each in (luma, hue, saturation))
    turned = torch.cos(hue) * (identity - grey) + torch.sin(hue) * across
    matrix = contrast[:, None, None] * (luma * grey + saturation * turned)
    return (matrix.to(images.dtype) @ images.flatten(2)).view_as(images)


def _source(draws: "_Draws", p: Tensor, *, height: int, width: int) -> Tensor:
    """Where each pixel comes from: (B, 3, 3), in pixels (x right, y down) around the centre.

    The product of the inverses of the transformations, in the order in which they are applied.
    """
    turn = 1 - torch.sqrt(1 - p)  # of two turns, at least one happens with probability p
    flip = draws.maybe(p, 1 - 2 * draws.integer(2), 1.0)
    quarters = draws.maybe(p, draws.integer(4), 0.0)
    x, y = ((draws.signed() * size / 8).round() for size in (width, height))
    x, y = draws.maybe_both(p, x, y)
    scale = draws.maybe(p, torch.exp2(0.2 * draws.normal()), 1.0)
    before = draws.maybe(turn, draws.angle(), 0.0)
    stretch = draws.maybe(p, torch.exp2(0.2 * draws.normal()), 1.0)
    after = draws.maybe(turn, draws.angle(), 0.0)
    further_x, further_y = (draws.normal() * size / 8 for size in (width, height))
    further_x, further_y = draws.maybe_both(p, further_x, further_y)
    return (
        _scaling(flip, torch.ones_like(flip))
        @ _rotation(-quarters * math.pi / 2)
        @ _translation(-x, -y)
        @ _scaling(1 / scale, 1 / scale)
        @ _rotation(-before)
        @ _scaling(1 / stretch, stretch)
        @ _rotation(-after)
        @ _translation(-further_x, -further_y)
    )


class _Draws:
    """Takes one column of the random numbers after the other; each result is (B,)."""

    def __init__(self, uniform: Tensor) -> None:
        self._columns: Iterator[Tensor] = iter(uniform.float().unbind(1))

    def maybe(self, p: Tensor, value: Tensor, neutral: float) -> Tensor:
        return torch.where(next(self._columns) < p, value, neutral)

    def maybe_both(self, p: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        applied = next(self._columns) < p
        return torch.where(applied, first, 0.0), torch.where(applied, second, 0.0)

    def signed(self) -> Tensor:
        """U[-1, 1)."""
        return 2 * next(self._columns) - 1

    def angle(self) -> Tensor:
        """U[-pi, pi)."""
        return math.pi * self.signed()

    def integer(self, num: int) -> Tensor:
        """0 .. num - 1, as floats."""
        return (next(self._columns) * num).floor().clamp(max=num - 1)

    def normal(self) -> Tensor:
        """N(0, 1), cut at almost 5 deviations."""
        return math.sqrt(2) * torch.erfinv(self.signed().clamp(-1 + 1e-6, 1 - 1e-6))


def _rotation(angle: Tensor) -> Tensor:
    cos, sin, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    return _matrix((cos, -sin, zero), (sin, cos, zero))


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    zero = torch.zeros_like(x)
    return _matrix((x, zero, zero), (zero, y, zero))


def _translation(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrix((one, zero, x), (zero, one, y))


def _matrix(*rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """(B, 3, 3), with the last row of an affine map."""
    zero, one = torch.zeros_like(rows[0][0]), torch.ones_like(rows[0][0])
    return torch.stack([torch.stack(row, -1) for row in (*rows, (zero, zero, one))], 1)
