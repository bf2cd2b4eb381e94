"""What a degradation takes and returns."""

__all__ = ["Degradation", "Degraded", "Draws"]

from typing import Any, NamedTuple, Protocol

from torch import Tensor


class Draws(Protocol):
    """Source of random numbers, each row for one image; see `limner.randomness.Noise`."""

    def normal(self, images: Tensor, *shape: int) -> Tensor:
        """Return N(0, 1) numbers (B, *shape) for images (B, ...), on their device."""

    def uniform(self, images: Tensor, *shape: int) -> Tensor:
        """Return uniform numbers in [0, 1); the arguments are the same as for `normal`."""


class Degraded(NamedTuple):
    """What a model reads of a batch of pictures."""

    input: Tensor
    """Changed images float (B, C, H / factor, W / factor), which may leave [-1, 1]."""
    mask: Tensor | None
    """Mask (B, 1, H / factor, W / factor): 1 where a pixel is known, 0 in a hole; else None."""


class Degradation(Protocol):
    """A function that changes each image by its own random numbers.

    The result for an image does not depend on the other images of the batch.
    """

    factor: int = 1
    """Height of the images / height of the input."""
    adds_mask: bool = False
    """Whether the result has a mask."""

    def __call__(self, images: Tensor, *, draws: Draws) -> Degraded:
        """Return the inputs of images (B, C, H, W) in [-1, 1]."""

    def protocol(self) -> dict[str, Any]:
        """Return plain facts that a score must state, such as the strength."""
