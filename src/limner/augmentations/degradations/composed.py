"""Several degradations, one after the other."""

__all__ = ["Degradations"]

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from limner.augmentations.degradations.protocols import Degradation, Degraded, Draws
from limner.interfaces import trait


class Degradations:
    """Several degradations in their order, each with its own random numbers.

    Args:
        parts: Degradations by name; a name is the key that changes or removes one. A part with a
            mask must be the last part, because a later part would mix its pixels or change its
            size.
    """

    def __init__(self, *, parts: Mapping[str, Degradation]) -> None:
        self.parts = dict(parts)
        self.factor = math.prod(trait(part, Degradation, "factor") for part in self.parts.values())
        masks = [name for name, part in self.parts.items() if _adds_mask(part)]
        self.adds_mask = bool(masks)
        if masks[:-1] or (masks and masks[0] != list(self.parts)[-1]):
            rest = [name for name in self.parts if name not in masks]
            raise ValueError(
                f"data.degradation.parts.{masks[0]} must be the last part, not followed by "
                f"another:\nchoose data/degradation=[{','.join([*rest, masks[0]])}]"
            )

    def __call__(self, images: Tensor, *, draws: Draws) -> Degraded:
        """Return the inputs of images (B, C, H, W) in [-1, 1]; see `Degradation`."""
        mask = None
        for part in self.parts.values():
            images, mask = part(images, draws=draws)
        return Degraded(images, mask)

    def protocol(self) -> dict[str, Any]:
        """Return the facts of each part by its name, in the order of the parts."""
        return {name: part.protocol() for name, part in self.parts.items()}


def _adds_mask(part: Degradation) -> bool:
    return trait(part, Degradation, "adds_mask")
