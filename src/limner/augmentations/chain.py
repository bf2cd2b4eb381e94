"""Several augmentations, one after the other."""

__all__ = ["Chain"]

from collections.abc import Mapping

from torch import Tensor

from limner.interfaces import Augmentation, trait


class Chain:
    """Several augmentations in their order, each with its own random numbers.

    Args:
        parts: Augmentations by name; a name is the key that changes or removes one.
    """

    def __init__(self, *, parts: Mapping[str, Augmentation]) -> None:
        self.parts = list(parts.values())
        nums = [trait(part, Augmentation, "num_draws") for part in self.parts]
        self._nums, self.num_draws = nums, sum(nums)

    def __call__(self, images: Tensor, *, uniform: Tensor) -> Tensor:
        """Return the changed images (B, C, H, W); `uniform` (B, num_draws) is from U[0, 1)."""
        draws = uniform.split(self._nums, dim=1)
        for part, own in zip(self.parts, draws, strict=True):
            images = part(images, uniform=own)
        return images
