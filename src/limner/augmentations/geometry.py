"""Geometric parts of an augmentation: each draws a map of the plane for each picture.

A part returns the inverse map: where a pixel of the result comes from, as a matrix (B, 3, 3) in
pixels (x right, y down) around the centre of the picture. `limner.augmentations.pictures`
multiplies the matrices of all parts and looks the pixels up once. Every part is applied with a
probability; without it, or with a strength of 0, its matrix is the identity. What lies beyond the
border of a picture is its mirror image.
"""

__all__ = [
    "Affine", "Crop", "Flips", "Perspective", "QuarterTurns", "Rotation", "Scale", "Shift",
]  # fmt: skip

import math

import torch
from torch import Tensor

from limner.augmentations.matrices import matrix, rotation, scaling, translation
from limner.augmentations.random_columns import RandomColumns


class Flips:
    """Mirror images, left to right and upside down. Pixels are copied.

    Args:
        horizontal: Probability in [0, 1] that left and right are swapped.
        vertical: Probability in [0, 1] that top and bottom are swapped.
    """

    num_draws = 2

    def __init__(self, *, horizontal: float, vertical: float) -> None:
        check_probability("flips", "horizontal", horizontal)
        check_probability("flips", "vertical", vertical)
        self.horizontal, self.vertical = horizontal, vertical
        self.is_off = horizontal == vertical == 0

    def inverse(self, draws: RandomColumns, *, height: int, width: int) -> Tensor:
        """Return the inverse maps (B, 3, 3)."""
        one = torch.where(draws.uniform() < self.horizontal, -1.0, 1.0)
        return scaling(one, torch.where(draws.uniform() < self.vertical, -1.0, 1.0))


class QuarterTurns:
    """Rotation by 0, 90, 180 or 270 degrees, each with equal probability. Pixels are copied.

    A picture that is not square is turned by 0 or 180 degrees only.

    Args:
        probability: Probability in [0, 1] that the turn is drawn.
    """

    num_draws = 2

    def __init__(self, *, probability: float) -> None:
        check_probability("quarter_turns", "probability", probability)
        self.probability = probability
        self.is_off = probability == 0

    def inverse(self, draws: RandomColumns, *, height: int, width: int) -> Tensor:
        """Return the inverse maps (B, 3, 3)."""
        turns = draws.integer(4) if height == width else 2 * draws.integer(2)
        turns = draws.maybe(self.probability, turns, 0.0)
        cos = (turns == 0).float() - (turns == 2).float()  # cos() of an angle would be rounded
        sin = (turns == 1).float() - (turns == 3).float()
        zero = torch.zeros_like(cos)
        return matrix((cos, -sin, zero), (sin, cos, zero))


class Rotation:
    """Rotation around the centre by an angle that is uniform around 0.

    Args:
        probability: Probability in [0, 1].
        max_degrees: Largest angle in degrees, in [0, 180].
    """

    num_draws = 2

    def __init__(self, *, probability: float, max_degrees: float) -> None:
        check_probability("rotation", "probability", probability)
        check_range("rotation", "max_degrees", max_degrees, 0, 180)
        self.probability, self.max_angle = probability, math.radians(max_degrees)
        self.is_off = probability == 0 or max_degrees == 0

    def inverse(self, draws: RandomColumns, *, height: int, width: int) -> Tensor:
        """Return the inverse maps (B, 3, 3)."""
        angle = self.max_angle * draws.signed()
        return rotation(-draws.maybe(self.probability, angle, 0.0))


class Shift:
    """Shift by whole pixels, uniform around 0. Pixels are copied.

    Args:
        probability: Probability in [0, 1].
        max_fraction: Largest shift as a share of width and height, in [0, 1].
    """

    num_draws = 3

    def __init__(self, *, probability: float, max_fraction: float) -> None:
        check_probability("shift", "probability", probability)
        check_range("shift", "max_fraction", max_fraction, 0, 1)
        self.probability, self.max_fraction = probability, max_fraction
        self.is_off = probability == 0 or max_fraction == 0

    def inverse(self, draws: RandomColumns, *, height: int, width: int) -> Tensor:
        """Return the inverse maps (B, 3, 3)."""
        x = (draws.signed() * self.max_fraction * width).round()
        y = (draws.signed() * self.max_fraction * height).round()
        x, y = draws.maybe_both(self.probability, x, y)
        return translation(-x, -y)


class Crop:
    """Random box of the picture, enlarged to the size of the picture.

    Args:
        probability: Probability in [0, 1].
        min_area: Smallest area of the box as a share of the picture, in (0, 1]; the share is
            uniform between `min_area` and 1.
        max_aspect: Largest ratio, at least 1, by which the aspect of the box differs from the
            picture's; its logarithm is uniform around 0. No side is longer than the picture's.
    """

    num_draws = 5

    def __init__(self, *, probability: float, min_area: float, max_aspect: float) -> None:
        check_probability("crop", "probability", probability)
        if not 0 < min_area <= 1:
            raise ValueError(
                f"data.augmentation.parts.crop.min_area={min_area}: must be above 0, at most 1."
            )
        check_range("crop", "max_aspect", max_aspect, 1, math.inf)
        self.probability, self.min_area, self.max_aspect = probability, min_area, max_aspect
        self.is_off = probability == 0 or (min_area == 1 and max_aspect == 1)

    def inverse(self, draws: RandomColumns, *, height: int, width: int) -> Tensor:
        """Return the inverse maps (B, 3, 3)."""
        area = 1 - (1 - self.min_area) * draws.uniform()
        ratio = torch.exp(math.log(self.max_aspect) * draws.signed())
        x, y = torch.sqrt(area * ratio).clamp(max=1), torch.sqrt(area / ratio).clamp(max=1)
        left, top = (1 - x) * draws.signed() * width / 2, (1 - y) * draws.signed() * height / 2
        applied = draws.uniform() < self.probability
        x, y = torch.where(applied, x, 1.0), torch.where(applied, y, 1.0)
        left, top = torch.where(applied, left, 0.0), torch.where(applied, top, 0.0)
        return translation(left, top) @ scaling(x, y)


class Scale:
    """Enlargement or reduction around the centre, whose logarithm is uniform around 0.

    Args:
        probability: Probability in [0, 1].
        max_factor: Largest enlargement, at least 1; the largest reduction is 1 / max_factor.
    """

    num_draws = 2

    def __init__(self, *, probability: float, max_factor: float) -> None:
        check_probability("scale", "probability", probability)
        check_range("scale", "max_factor", max_factor, 1, math.inf)
        self.probability, self.max_factor = probability, max_factor
        self.is_off = probability == 0 or max_factor == 1

    def inverse(self, draws: RandomColumns, *, height: int, width: int) -> Tensor:
        """Return the inverse maps (B, 3, 3)."""
        share = torch.exp(-math.log(self.max_factor) * draws.signed())
        share = draws.maybe(self.probability, share, 1.0)
        return scaling(share, share)


class Affine:
    """Shear along x and y, and stretching along x with as much squeezing along y.

    Args:
        probability: Probability in [0, 1].
        max_shear: Largest angle of each shear in degrees, in [0, 40]; uniform around 0.
        max_stretch: Largest factor of the stretch along x, at least 1; its logarithm is uniform
            around 0.
    """

    num_draws = 4

    def __init__(self, *, probability: float, max_shear: float, max_stretch: float) -> None:
        check_probability("affine", "probability", probability)
        check_range("affine", "max_shear", max_shear, 0, 40)
        check_range("affine", "max_stretch", max_stretch, 1, math.inf)
        self.probability, self.max_stretch = probability, max_stretch
        self.max_shear = math.radians(max_shear)
        self.is_off = probability == 0 or (max_shear == 0 and max_stretch == 1)

    def inverse(self, draws: RandomColumns, *, height: int, width: int) -> Tensor:
        """Return the inverse maps (B, 3, 3)."""
        x, y = (torch.tan(self.max_shear * draws.signed()) for _ in range(2))
        stretch = torch.exp(math.log(self.max_stretch) * draws.signed())
        applied = draws.uniform() < self.probability
        x, y = torch.where(applied, x, 0.0), torch.where(applied, y, 0.0)
        stretch = torch.where(applied, stretch, 1.0)
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        return matrix((one, x, zero), (y, one, zero)) @ scaling(1 / stretch, stretch)


class Perspective:
    """View of the picture from the side, as if its plane were turned around x and y.

    A pixel at (x, y), as shares of half the sides, comes from (x, y) / (1 + a x + b y).

    Args:
        probability: Probability in [0, 1].
        max_tilt: Largest a and b, in [0, 0.45]; uniform around 0.
    """

    num_draws = 3

    def __init__(self, *, probability: float, max_tilt: float) -> None:
        check_probability("perspective", "probability", probability)
        check_range("perspective", "max_tilt", max_tilt, 0, 0.45)
        self.probability, self.max_tilt = probability, max_tilt
        self.is_off = probability == 0 or max_tilt == 0

    def inverse(self, draws: RandomColumns, *, height: int, width: int) -> Tensor:
        """Return the inverse maps (B, 3, 3)."""
        a, b = (
            2 * self.max_tilt * draws.signed() / width,
            2 * self.max_tilt * draws.signed() / height,
        )
        a, b = draws.maybe_both(self.probability, a, b)
        zero, one = torch.zeros_like(a), torch.ones_like(a)
        return matrix((one, zero, zero), (zero, one, zero), (a, b, one))


def check_probability(part: str, name: str, value: float) -> None:
    """Raise `ValueError` if a value of a part is no probability."""
    check_range(part, name, value, 0, 1)


def check_range(part: str, name: str, value: float, low: float, high: float) -> None:
    """Raise `ValueError` if a value of a part is not in [low, high]."""
    if not low <= value <= high:
        due = f"{low} or more" if high == math.inf else f"in [{low}, {high}]"
        raise ValueError(f"data.augmentation.parts.{part}.{name}={value}: must be {due}.")
