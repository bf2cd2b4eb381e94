"""Parts of an augmentation that change the values of pixels: colour, blur, cutout.

A part changes pictures (B, C, H, W) of float values in [0, 255] by random
numbers of each picture. The result may leave this range before it is rounded.
"""

__all__ = ["Blur", "Colour", "Cutout"]

import math

import torch
from torch import Tensor

from limner.augmentations.ada_transforms import colour_matrix
from limner.augmentations.diffaugment import hole
from limner.augmentations.geometry import check_probability, check_range
from limner.augmentations.random_columns import RandomColumns
from limner.augmentations.warping import fold

GREY = 127.5  # middle of the range


class Colour:
    """Change of brightness, contrast, saturation and hue, each uniform around no change.

    Pictures of 3 or 4 channels are RGB or RGBA, and the alpha channel does not change. For other
    numbers of channels, only brightness and contrast change.

    Args:
        probability: Probability in [0, 1].
        brightness: Largest sum, as a share of the range from black to white, in [0, 1].
        contrast: Largest change of the factor 1 by which the distance from middle grey is
            multiplied, in [0, 1].
        saturation: Largest change of the factor 1 by which the distance from grey is multiplied,
            in [0, 1].
        hue: Largest angle in degrees by which the colours turn around the grey axis, in [0, 180].
    """

    num_draws = 5

    def __init__(
        self,
        *,
        probability: float,
        brightness: float,
        contrast: float,
        saturation: float,
        hue: float,
    ) -> None:
        check_probability("colour", "probability", probability)
        strengths = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        for name, value in strengths.items():
            check_range("colour", name, value, 0, 1)
        check_range("colour", "hue", hue, 0, 180)
        self.probability, self.hue = probability, math.radians(hue)
        self.brightness, self.contrast, self.saturation = brightness, contrast, saturation
        self.is_off = probability == 0 or not any((*strengths.values(), hue))

    def change(self, images: Tensor, *, draws: RandomColumns, factor: int) -> Tensor:
        """Return the changed pictures (B, C, H, W)."""
        brightness, contrast, saturation, hue = (draws.signed() for _ in range(4))
        applied = draws.uniform() < self.probability
        brightness = torch.where(applied, 255 * self.brightness * brightness, 0.0)
        contrast = torch.where(applied, 1 + self.contrast * contrast, 1.0)
        channels = images.shape[1]
        if channels not in (3, 4):
            offset = contrast * (brightness - GREY) + GREY
            contrast, offset = (each[:, None, None, None] for each in (contrast, offset))
            return torch.addcmul(offset, contrast, images)
        matrix = colour_matrix(
            contrast=contrast,
            luma=torch.ones_like(contrast),
            hue=torch.where(applied, self.hue * hue, 0.0),
            saturation=torch.where(applied, 1 + self.saturation * saturation, 1.0),
        )
        offset = matrix.sum(2) * (brightness - GREY)[:, None] + GREY
        colours = torch.baddbmm(offset[..., None], matrix, images[:, :3].flatten(2))
        colours = colours.view_as(images[:, :3])
        return colours if channels == 3 else torch.cat([colours, images[:, 3:]], 1)


class Blur:
    """Gaussian blur whose standard deviation is uniform between 0 and a largest value.

    Args:
        probability: Probability in [0, 1].
        max_sigma: Largest standard deviation as a share of the shorter side, in [0, 0.25].
    """

    num_draws = 2

    def __init__(self, *, probability: float, max_sigma: float) -> None:
        check_probability("blur", "probability", probability)
        check_range("blur", "max_sigma", max_sigma, 0, 0.25)
        self.probability, self.max_sigma = probability, max_sigma
        self.is_off = probability == 0 or max_sigma == 0

    def change(self, images: Tensor, *, draws: RandomColumns, factor: int) -> Tensor:
        """Return the blurred pictures (B, C, H, W); the plane is mirrored at the border."""
        height, width = images.shape[2:]
        most = self.max_sigma * min(height, width)
        sigma = draws.maybe(self.probability, most * draws.uniform(), 0.0)
        reach = math.ceil(4 * most)
        rows, columns = (_gaussian(size, sigma, reach) for size in (height, width))
        across = torch.bmm(images.flatten(1, 2), columns.mT).view_as(images)
        return rows[:, None] @ across


class Cutout:
    """Cutout: a grey rectangle at a random place, which hides what is below it.

    Args:
        probability: Probability in [0, 1].
        fraction: Sides of the rectangle as a share of height and width, in [0, 1].
    """

    num_draws = 3
    hides_pixels = True
    """Whether the part removes what a model that changes pictures must learn to make."""

    def __init__(self, *, probability: float, fraction: float) -> None:
        check_probability("cutout", "probability", probability)
        check_range("cutout", "fraction", fraction, 0, 1)
        self.probability, self.fraction = probability, fraction
        self.is_off = probability == 0 or fraction == 0

    def change(self, images: Tensor, *, draws: RandomColumns, factor: int) -> Tensor:
        """Return pictures (B, C, H, W) with a rectangle of middle grey.

        A rectangle in a picture that is `factor` times as large as the smallest picture of its
        sample has its borders at whole pixels of the smallest picture.
        """
        height, width = (size // factor for size in images.shape[2:])
        cut = hole(height, width, draws.uniform(), draws.uniform(), fraction=self.fraction)
        cut &= (draws.uniform() < self.probability)[:, None, None]
        cut = cut.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
        return images.masked_fill(cut[:, None], GREY)


def _gaussian(size: int, sigma: Tensor, reach: int) -> Tensor:
    """Return the blur of a line as matrices (B, size, size), whose rows have the sum 1.

    Args:
        size: Length of the line.
        sigma: Standard deviations (B,) in pixels; 0 gives the identity.
        reach: Largest distance in pixels that has a weight.
    """
    offsets = torch.arange(-reach, reach + 1, device=sigma.device)
    weights = torch.exp(-0.5 * (offsets / sigma.clamp(min=0.01)[:, None]) ** 2)
    weights = weights / weights.sum(1, keepdim=True)
    pixels = fold(torch.arange(size, device=sigma.device)[:, None] + offsets, size)
    matrices = sigma.new_zeros(len(sigma), size, size)
    return matrices.scatter_add_(
        2, pixels.expand(len(sigma), -1, -1), weights[:, None].expand(-1, size, -1)
    )
