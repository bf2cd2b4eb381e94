"""Matrices (B, 3, 3) of maps of the plane, which multiply the column (x right, y down, 1)."""

__all__ = ["matrix", "rotation", "scaling", "translation"]

import torch
from torch import Tensor


def rotation(angle: Tensor) -> Tensor:
    """Return the rotation by an angle (B,) in radians, from the x-axis to the y-axis."""
    cos, sin, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    return matrix((cos, -sin, zero), (sin, cos, zero))


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """Return the map that multiplies x and y by factors (B,)."""
    zero = torch.zeros_like(x)
    return matrix((x, zero, zero), (zero, y, zero))


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Return the map that adds numbers (B,) to x and y."""
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return matrix((one, zero, x), (zero, one, y))


def matrix(*rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return matrices of two rows, whose entries are (B,), and the last row of an affine map.

    A third row replaces the last row of an affine map.
    """
    zero, one = torch.zeros_like(rows[0][0]), torch.ones_like(rows[0][0])
    rows = rows if len(rows) == 3 else (*rows, (zero, zero, one))
    return torch.stack([torch.stack(row, -1) for row in rows], 1)
