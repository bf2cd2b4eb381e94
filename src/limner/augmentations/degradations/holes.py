"""Holes in a picture: boxes and strokes, with a mask that the model reads."""

__all__ = ["Holes"]

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from limner.augmentations.degradations.amount import Amount
from limner.augmentations.degradations.protocols import Degraded, Draws

SEGMENTS = 3
"""Number of straight segments of a stroke."""
LARGEST_TURN = math.pi / 3
"""Largest angle between two segments."""


class Holes:
    """Boxes and bent strokes of grey (0), at random positions.

    Sizes are shares of the shorter side, and each is a number or an interval [min, max]. A shape
    may lie partly outside of the picture, and shapes may overlap.

    Args:
        num_boxes: Number of boxes of an image.
        box_size: Height and width of a box; each side draws its own.
        num_strokes: Number of strokes of an image.
        stroke_length: Length of a stroke.
        stroke_width: Width of a stroke.
    """

    factor, adds_mask = 1, True

    def __init__(
        self,
        *,
        num_boxes: int | Sequence[int],
        box_size: float | Sequence[float],
        num_strokes: int | Sequence[int],
        stroke_length: float | Sequence[float],
        stroke_width: float | Sequence[float],
    ) -> None:
        self.num_boxes = Amount(num_boxes, key="holes.num_boxes", most=100, whole=True)
        self.box_size = Amount(box_size, key="holes.box_size", most=1)
        self.num_strokes = Amount(num_strokes, key="holes.num_strokes", most=100, whole=True)
        self.stroke_length = Amount(stroke_length, key="holes.stroke_length", most=10)
        self.stroke_width = Amount(stroke_width, key="holes.stroke_width", most=1)

    def __call__(self, images: Tensor, *, draws: Draws) -> Degraded:
        """Return images (B, C, H, W) with holes, and the mask."""
        is_hole = self._boxes(images, draws) | self._strokes(images, draws)
        return Degraded(images.masked_fill(is_hole, 0.0), (~is_hole).to(images.dtype))

    def protocol(self) -> dict[str, Any]:
        """Return the numbers and sizes of the holes."""
        return {
            "kind": "holes", "num_boxes": self.num_boxes.value, "box_size": self.box_size.value,
            "num_strokes": self.num_strokes.value, "stroke_length": self.stroke_length.value,
            "stroke_width": self.stroke_width.value,
        }  # fmt: skip

    def _boxes(self, images: Tensor, draws: Draws) -> Tensor:
        """Return whether each pixel lies in a box, (B, 1, H, W)."""
        is_used = _first(self.num_boxes, images, draws)
        if is_used.shape[1] == 0:
            return _no_holes(images)
        numbers = draws.uniform(images, is_used.shape[1], 4).float().unbind(2)
        lines = []
        for size, place, length in zip(images.shape[2:], numbers[:2], numbers[2:], strict=True):
            half = _between(self.box_size, length) * min(images.shape[2:]) / 2
            pixels = torch.arange(size, device=images.device) + 0.5
            lines.append((pixels - (place * size)[..., None]).abs() < half[..., None])
        rows, columns = (lines[0] & is_used[..., None]).float(), lines[1].float()
        return (rows.transpose(1, 2) @ columns > 0)[:, None]

    def _strokes(self, images: Tensor, draws: Draws) -> Tensor:
        """Return whether each pixel lies in a stroke, (B, 1, H, W)."""
        is_used = _first(self.num_strokes, images, draws)
        is_hole, (height, width) = _no_holes(images), images.shape[2:]
        if is_used.shape[1] == 0:
            return is_hole
        numbers = draws.uniform(images, is_used.shape[1], 4 + SEGMENTS).float()
        y, x, length, thickness, *turns = numbers[..., None, None, None].unbind(2)
        y, x = y * height, x * width
        step = _between(self.stroke_length, length) * min(height, width) / SEGMENTS
        radius = _between(self.stroke_width, thickness) * min(height, width) / 2
        radius = torch.where(is_used[..., None, None, None], radius, torch.nan)  # equals nothing
        rows = torch.arange(height, device=images.device)[:, None] + 0.5
        columns = torch.arange(width, device=images.device) + 0.5
        angle = 2 * math.pi * turns[0]
        for i in range(SEGMENTS):
            angle = angle if i == 0 else angle + LARGEST_TURN * (2 * turns[i] - 1)
            dy, dx = torch.sin(angle), torch.cos(angle)
            for k in range(is_used.shape[1]):  # one stroke at a time, which saves memory
                down, right = rows - y[:, k], columns - x[:, k]
                along = (down * dy[:, k] + right * dx[:, k]).clamp_(min=0)
                along = torch.minimum(along, step[:, k])
                far = (down - along * dy[:, k]).square_() + (right - along * dx[:, k]).square_()
                is_hole |= far <= radius[:, k] ** 2
            y, x = y + step * dy, x + step * dx
        return is_hole


def _first(num: Amount, images: Tensor, draws: Draws) -> Tensor:
    """Return which of the largest number of shapes an image has, (B, largest number)."""
    return torch.arange(num.max, device=images.device) < num.draw(images, draws)[:, :, 0, 0]


def _between(amount: Amount, uniform: Tensor) -> Tensor:
    return amount.min + (amount.max - amount.min) * uniform


def _no_holes(images: Tensor) -> Tensor:
    return images.new_zeros((len(images), 1, *images.shape[2:]), dtype=torch.bool)
