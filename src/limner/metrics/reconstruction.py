"""Images beside their reconstructions, for pair scores."""

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
    """Each batch of uint8 images (B, C, H, W) and its reconstructions, likewise, on `device`.

    Args:
        model: Whose reconstructions.
        batches: Images, and labels (B,) that a conditional model is told; else None.
        device: Where the model is.
    """
    for batch, labels in batches:
        images = batch.to(device)
        yield images, to_uint8(model.reconstruct(to_float(images), **label_kwargs(labels)))
