"""Pool of earlier fake images, so that a discriminator does not forget them.

Shrivastava et al. (2017), section 2.3, https://arxiv.org/abs/1612.07828
"""

__all__ = ["ImagePool"]

from typing import Any

import torch
from torch import Tensor

from limner.processes import from_all_processes, rank

SHARE = 0.5  # share of the images for which a full pool returns an old image


class ImagePool:
    """Pool of earlier fake images, which returns new or old images.

    A pool that is not full stores each image, and returns the image itself. A full pool returns
    the image itself with probability 1/2. Otherwise it returns a random old image, and stores the
    new image in its place.

    Several processes have one pool together: each process stores the images of all processes, in
    the order of the ranks. So a run may be resumed on another number of processes.

    Args:
        size: Number of images, at least 0; a pool of size 0 returns every image itself.
    """

    num_draws = 2
    """Number of random numbers per image."""

    def __init__(self, size: int) -> None:
        if size < 0:
            raise ValueError(f"model.pool_size={size}: must be 0 or more; 0: no pool.")
        self.size, self.count = size, 0
        self._stored: Tensor | None = None  # (size, C, H, W), the first `count` are images

    def __call__(self, images: Tensor, *, uniform: Tensor) -> Tensor:
        """Return an image for each of the images (B, C, H, W), without gradients.

        Args:
            images: New images of this process; B is the same in every process.
            uniform: Random numbers (B, 2) from U[0, 1) of these images.
        """
        images = images.detach()
        if self.size == 0:
            return images
        if self._stored is None:
            self._stored = images.new_empty(self.size, *images.shape[1:])
        self._stored = self._stored.to(images)  # a pool of a checkpoint is on the CPU
        pairs = zip(from_all_processes(images), from_all_processes(uniform), strict=True)
        found = [self._exchanged(image, draws) for image, draws in pairs]
        return torch.stack(found[rank() * len(images) :][: len(images)])

    def state_dict(self) -> dict[str, Any]:
        """Return the stored images (count, C, H, W); None if there are none."""
        return {"images": None if self._stored is None else self._stored[: self.count].clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Store the images of a state from `state_dict` of a pool of this size."""
        images = state["images"]
        self.count, self._stored = 0 if images is None else len(images), None
        if self.count > 0:
            self._stored = images.new_empty(self.size, *images.shape[1:])
            self._stored[: self.count] = images

    def _exchanged(self, image: Tensor, draws: Tensor) -> Tensor:
        """Store an image (C, H, W) or not, and return an image, without waiting for the device."""
        if self.count < self.size:
            self._stored[self.count] = image
            self.count += 1
            return image
        place = (draws[1:] * self.size).long().clamp(max=self.size - 1)  # (1,)
        old, is_swapped = self._stored.index_select(0, place)[0], draws[0] < SHARE
        self._stored.index_copy_(0, place, torch.where(is_swapped, image, old)[None])
        return torch.where(is_swapped, old, image)
