"""The picture itself, as the input of a model that changes pictures without pairs."""

__all__ = ["Copy"]

from typing import Any

from torch import Tensor

from limner.augmentations.degradations.protocols import Degraded, Draws


class Copy:
    """The unchanged picture, for models without another target, such as style transfer."""

    factor, adds_mask = 1, False

    def __call__(self, images: Tensor, *, draws: Draws) -> Degraded:
        """Return the images (B, C, H, W) themselves; `draws` is not used."""
        return Degraded(images, None)

    def protocol(self) -> dict[str, Any]:
        """Return that nothing is changed."""
        return {"kind": "copy"}
