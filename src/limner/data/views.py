"""Views of a picture that are shifted by fractions of a pixel of the inputs.

A view is the picture shifted by whole pixels, so that its small copy is shifted by a fraction of
a pixel of the small copy, without interpolation. Two views of a picture have different fractions,
as long as there are enough of them: s^2 - 1 for a scale s and both directions, and 0 of the
reference.
"""

__all__ = ["Shifts", "stacked"]

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from limner.errors import UserError
from limner.interfaces import reference_view


class Shifts:
    """Random shifts of the views of a picture; the reference is not shifted.

    Args:
        num_views: Number of views N, at least 1.
        max_shift: Largest shift [down, across] of a view in whole pixels of the input, 0 or more.
            0 leaves the direction out, as in rectified views.
        scale: Height of a picture divided by the height of an input.

    Raises:
        UserError: If no view can be shifted by a fraction of a pixel.
    """

    def __init__(self, *, num_views: int, max_shift: Sequence[int], scale: int) -> None:
        if len(max_shift) != 2 or min(max_shift) < 0 or (max(max_shift) == 0 and num_views > 1):
            raise UserError(
                f"data.max_shift={list(max_shift)}: must be [down, across] in pixels of the "
                "input,\n0 or more, and above 0 in one of them, such as data.max_shift=[1,1]."
            )
        if scale < 2 and num_views > 1:
            raise UserError(
                f"data.scale={scale}: views that are shifted by fractions of a pixel need a scale "
                "of 2 or more."
            )
        self.num_views, self.max_shift, self.scale = num_views, list(max_shift), scale
        self.margin = [scale * most for most in max_shift]
        """Number of pixels (rows, columns) of the picture that views read beyond the target."""
        steps = [range(scale) if most else range(1) for most in max_shift]
        self.fractions = torch.tensor(list(itertools.product(*steps))[1:] or [(0, 0)])
        """Shifts (F, 2) in pixels of the picture, below the scale."""
        self.num_draws = len(self.fractions) + 2 * (num_views - 1)
        """Number of random numbers for each picture."""

    def __call__(self, uniform: Tensor) -> Tensor:
        """Return the shifts int64 (B, N, 2) of views in rows and columns of the picture.

        Args:
            uniform: Numbers (B, num_draws) from U[0, 1).
        """
        most = torch.tensor(self.max_shift)
        order = uniform[:, : len(self.fractions)].argsort(dim=1, stable=True)
        turns = -(-(self.num_views - 1) // len(self.fractions))
        chosen = self.fractions[order.repeat(1, max(1, turns))[:, : self.num_views - 1]]
        whole = uniform[:, len(self.fractions) :].unflatten(1, (-1, 2)).double()
        others = chosen + self.scale * ((whole * 2 * most).long() - most)
        middle = reference_view(self.num_views)
        zero = torch.zeros(len(uniform), 1, 2, dtype=torch.int64)
        return torch.cat([others[:, :middle], zero, others[:, middle:]], 1)

    def views(self, images: Tensor, shifts: Tensor) -> Tensor:
        """Return the views (B, N, C, H, W) of pictures with their margins on all sides.

        Args:
            images: Pictures (B, C, H + 2 * margin[0], W + 2 * margin[1]).
            shifts: Shifts int64 (B, N, 2), at most the margin.
        """
        down, across = self.margin
        rows = torch.arange(down, images.shape[2] - down) + shifts[..., :1]  # (B, N, H)
        columns = torch.arange(across, images.shape[3] - across) + shifts[..., 1:]
        rows, columns = rows.to(images.device), columns.to(images.device)
        batch = torch.arange(len(images), device=images.device)[:, None, None, None]
        found = images.movedim(1, 3)[batch, rows[..., None], columns[:, :, None, :]]
        return found.movedim(4, 2)


def stacked(views: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Return (B, N, ...), the change of each view (B, N, C, H, W); the reference is the first.

    The reference is changed first, so that its random numbers do not depend on the number of
    views.
    """
    middle = reference_view(views.shape[1])
    order = [middle, *(n for n in range(views.shape[1]) if n != middle)]
    made = {n: change(views[:, n]) for n in order}
    return torch.stack([made[n] for n in range(views.shape[1])], 1)
