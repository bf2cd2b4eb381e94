"""Weights of penalties that follow from the data: `model.penalty.r1.weight=auto`."""

__all__ = ["fit_weights"]

import lightning as L

from limner.losses.penalty import Weighted


def fit_weights(
    model: L.LightningModule, data: L.LightningDataModule, *, num_processes: int
) -> None:
    """Replace the weight "auto" of each penalty by its formula, see `Weighted.fit_to`.

    Args:
        model: The built model.
        data: The opened data.
        num_processes: Number of processes that share each update.
    """
    for part in model.modules():
        if isinstance(part, Weighted):
            _, height, width = data.image_shape
            part.fit_to(num_pixels=height * width, num_images=data.batch_size * num_processes)
