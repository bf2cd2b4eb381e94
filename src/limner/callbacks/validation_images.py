"""Held-out images for pictures and checks during training."""

__all__ = ["held_out", "spread"]

import lightning as L
import torch
from torch import Tensor

from limner.models.conditions import labels_at
from limner.pixels import to_float


def held_out(
    trainer: L.Trainer, model: L.LightningModule, num_images: int
) -> tuple[Tensor, list[Tensor]]:
    """Return images at equal distances in the validation split.

    If the validation split is empty, the images come from the training split.

    Args:
        trainer: Trainer of the run, with its data.
        model: Model on whose device the images are returned.
        num_images: Number of images; the result has fewer if the split has fewer.

    Returns:
        Images (N, C, H, W) in [-1, 1] with N <= `num_images`, on the model's device, and a list
        that contains their labels int64 (N,), or texts (N, L), for a conditional model, and is
        empty otherwise.
    """
    name = next(n for n in ("validation", "train") if len(trainer.datamodule.split(n)[1]))
    store, indices = trainer.datamodule.split(name)
    chosen = spread(indices, num_images)
    images = to_float(store.gather(chosen)).to(model.device)
    labels = labels_at(model, store, chosen)
    return images, [] if labels is None else [labels.to(model.device)]


def spread(indices: Tensor, num: int) -> Tensor:
    """Return `num` of the indices (N,) at equal distances; all indices if N <= `num`."""
    return indices[torch.linspace(0, len(indices) - 1, min(num, len(indices))).long()]
