"""Kinds of shapes, each as the signed distance of a point from its border.

A shape lies in the circle of radius 1 around (0, 0); x is right and y is down. The distance is
negative inside. It is exact near straight and round edges, and too short beyond corners.
"""

__all__ = ["KINDS", "distances"]

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def distances(names: Sequence[str], kinds: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the signed distances (B, H, W) of points from the borders of shapes.

    Args:
        names: Names of kinds.
        kinds: Kind of each image, numbers int64 (B,) of `names`.
        x: Positions (B, H, W) to the right of the centre, in units of the radius.
        y: Positions (B, H, W) below the centre, in units of the radius.
    """
    if kinds.device.type != "cpu":  # the rows of each kind would have to be read from the device
        every = torch.stack([KINDS[name](x, y) for name in names])
        return every.gather(0, kinds[None, :, None, None].expand(1, *x.shape))[0]
    result = torch.empty_like(x)
    for number, name in enumerate(names):
        rows = (kinds == number).nonzero()[:, 0]
        result[rows] = KINDS[name](x[rows], y[rows])
    return result


def _circle(x: Tensor, y: Tensor) -> Tensor:
    return torch.hypot(x, y) - 1


def _ring(x: Tensor, y: Tensor) -> Tensor:
    return (torch.hypot(x, y) - 0.75).abs() - 0.25


def _crescent(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(torch.hypot(x, y) - 1, 0.8 - torch.hypot(x - 0.45, y))


def _cross(x: Tensor, y: Tensor) -> Tensor:
    x, y = x.abs(), y.abs()
    return torch.maximum(torch.minimum(x, y) - 0.3, torch.maximum(x, y) - 0.95)


def _star(num: int, inner: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the distance of a star with `num` corners at radius 1, the first at the top.

    Args:
        num: Number of corners.
        inner: Radius of the corners between them; cos(pi / num) gives a regular polygon.
    """
    half = math.pi / num
    tip, notch = (1.0, 0.0), (inner * math.cos(half), inner * math.sin(half))
    normal = (notch[1] - tip[1], tip[0] - notch[0])
    length = math.hypot(*normal)

    def distance(x: Tensor, y: Tensor) -> Tensor:
        radius, angle = torch.hypot(x, y), torch.atan2(x, -y)
        angle = (angle.add_(half).remainder_(2 * half) - half).abs_()  # from the nearest corner
        along, across = radius * torch.cos(angle), radius * torch.sin(angle)
        return ((along - tip[0]) * normal[0] + across * normal[1]) / length

    return distance


KINDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "circle": _circle,
    "triangle": _star(3, math.cos(math.pi / 3)),
    "square": _star(4, math.cos(math.pi / 4)),
    "pentagon": _star(5, math.cos(math.pi / 5)),
    "hexagon": _star(6, math.cos(math.pi / 6)),
    "star": _star(5, 0.4),
    "cross": _cross,
    "ring": _ring,
    "crescent": _crescent,
}
"""Signed distance from the border of each shape, which lies in the circle of radius 1."""
