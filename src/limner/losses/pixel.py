"""Differences of the pixel values of an output and its target, as one value for each image.

With d the difference of a value, the mean over all values of an image is taken of

    l1            |d|
    l2            d^2
    charbonnier   sqrt(d^2 + epsilon^2)        Charbonnier et al. (1994), equation 9,
                                               https://doi.org/10.1109/ICIP.1994.413553
"""

__all__ = ["Pixel"]

from typing import Literal

from torch import Tensor


class Pixel:
    """Mean difference of pixel values.

    Args:
        weight: Factor of the loss in the model's sum, at least 0.
        kind: Function of the difference.
        epsilon: Difference below which "charbonnier" is round, above 0, for images in [-1, 1]; the
            other kinds ignore it.
    """

    def __init__(
        self, *, weight: float, kind: Literal["l1", "l2", "charbonnier"], epsilon: float
    ) -> None:
        if not epsilon > 0:
            raise ValueError(f"model.losses.pixel.epsilon={epsilon}: must be above 0.")
        self.weight, self.kind, self.epsilon = weight, kind, epsilon

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the losses (B,) of outputs (B, C, H, W)."""
        difference = output - target
        if self.kind == "l1":
            values = difference.abs()
        elif self.kind == "l2":
            values = difference.square()
        else:
            values = (difference.square() + self.epsilon**2).sqrt()
        return values.flatten(1).mean(1)
