"""Pairs of images and their reconstructions, for pair scores."""

__all__ = ["reconstructed_pairs"]

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from limner.interfaces import Reconstructs, label_kwargs
from limner.pixels import to_float, to_uint8


def reconstructed_pairs(
    model: Reconstructs,
    batches: Iterable[tuple[Tensor, Tensor | None]],
    *,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each batch of images and its reconstructions, both uint8 (B, C, H, W) on `device`.

    Args:
        model: Model that reconstructs images.
        batches: uint8 images (B, C, H, W), and labels (B,) for a conditional model, else None.
        device: Device of the model.
    """
    for batch, labels in batches:
        images = batch.to(device)
        yield images, to_uint8(model.reconstruct(to_float(images), **label_kwargs(labels)))
