"""Images beside their reconstructions, for pair scores and for the reconstruction FID."""

__all__ = ["reconstructed_features", "reconstructed_pairs"]

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from limner.interfaces import Features, Reconstructs
from limner.pixels import to_float, to_uint8


def reconstructed_pairs(
    model: Reconstructs, batches: Iterable[Tensor], *, device: torch.device | str = "cpu"
) -> Iterator[tuple[Tensor, Tensor]]:
    """Each batch of uint8 images (B, C, H, W) and its reconstructions, likewise, on `device`."""
    for batch in batches:
        images = batch.to(device)
        yield images, to_uint8(model.reconstruct(to_float(images)))


def reconstructed_features(
    pairs: Iterable[tuple[Tensor, Tensor]], features: Callable[[Tensor], Features]
) -> Iterator[tuple[Features, Features]]:
    """What the feature network sees in originals and in reconstructions.

    The FID of the two, the originals in the place of the real images and the reconstructions in
    that of the generated ones, is the reconstruction FID: 0 for a model that loses nothing, and
    without the part of the FID that is the prior's fault.
    """
    for images, reconstructions in pairs:
        yield features(images), features(reconstructions)
