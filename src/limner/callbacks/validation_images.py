"""Images that a model is looked at with while it is trained, and not trained on."""

__all__ = ["held_out", "spread"]

import lightning as L
import torch
from torch import Tensor

from limner.pixels import to_float


def held_out(
    trainer: L.Trainer, model: L.LightningModule, num_images: int
) -> tuple[Tensor, list[Tensor]]:
    """Images from all over the validation split, or the training split where there is none.

    Returns:
        Images (N, C, H, W) in [-1, 1], of `num_images` at most, on the model's device; and in a
        list their labels int64 (N,), for models that are told of them, else nothing.
    """
    name = next(n for n in ("validation", "train") if len(trainer.datamodule.split(n)[1]))
    store, indices = trainer.datamodule.split(name)
    chosen = spread(indices, num_images)
    images = to_float(store.gather(chosen)).to(model.device)
    if getattr(model, "num_classes", None) is None or store.labels is None:
        return images, []
    return images, [store.labels[chosen].to(model.device)]


def spread(indices: Tensor, num: int) -> Tensor:
    """`num` of the indices (N,), or all if there are fewer, at equal distances."""
    return indices[torch.linspace(0, len(indices) - 1, min(num, len(indices))).long()]
