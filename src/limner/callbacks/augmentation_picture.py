"""Picture of what a model sees: the first training images before and after the augmentation."""

__all__ = ["AugmentationPicture", "first_images"]

import copy
from collections.abc import Mapping

import lightning as L
import torch
from PIL import Image
from torch import Tensor

from limner.callbacks.picture_labels import with_labels
from limner.callbacks.pictures import COLUMNS, grid, interleave
from limner.callbacks.run_pictures import write_picture
from limner.warn_once import WarnOnce

ABOUT = "The first training images are above the same images as the model sees them."
ABOUT_INPUTS = (
    "The first training images, the same images as targets, and the inputs of the model."
)
ABOUT_DOMAINS = "The first training images of both domains, before and after the augmentation."
ROWS = ("before", "after", "input")


class AugmentationPicture(L.Callback):
    """Callback that writes `augmentation.png` into the run folder when a new run starts.

    The first process writes it, and loggers that accept images get it too. Without an
    augmentation of the data, the callback does nothing.

    Args:
        num_images: Largest number of images, at least 1.
    """

    def __init__(self, *, num_images: int) -> None:
        if num_images < 1:
            raise ValueError(f"callbacks.augmentation.num_images={num_images}: must be 1 or more.")
        self.num_images = num_images
        self.writing = WarnOnce("Writing augmentation.png", OSError)

    def on_train_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if trainer.global_step > 0 or not trainer.is_global_zero:
            return
        images = first_images(trainer)
        if images is None:
            return
        about = {2: ABOUT, 3: ABOUT_INPUTS}.get(len(images), ABOUT_DOMAINS)
        picture = _picture({k: x[: self.num_images] for k, x in images.items()}, about)
        with self.writing():
            write_picture(trainer, picture, "augmentation", key="augmentation", caption=about)


def first_images(trainer: L.Trainer) -> dict[str, Tensor] | None:
    """Return the first training images before and after the augmentation; None without one.

    If the data make an input of each image for the model, the inputs are a third tensor. A data
    module may have a method `before_and_after()` that returns the tensors in this order, or the
    tensors by the labels of their rows. Otherwise the images come from `trainer.train_dataloader`,
    if it has an attribute `augmentation`.

    Returns:
        Tensors of images float32 (B, C, H, W) in [-1, 1], all of one shape, by the labels of their
        rows: "before", "after" and "input", or "A before", "A after", "B before" and "B after".
    """
    if getattr(trainer.datamodule, "augmentation", None) is None:
        return None
    own = getattr(trainer.datamodule, "before_and_after", None)
    if own is not None:
        found = own()
        return found if isinstance(found, dict) else dict(zip(ROWS, found, strict=False))
    batches = trainer.train_dataloader
    if not hasattr(batches, "augmentation"):
        return None
    without = copy.copy(batches)
    without.augmentation = None
    before, after = (next(iter(each))["image"] for each in (without, batches))
    return {"before": before, "after": after}


def _picture(images: Mapping[str, Tensor], about: str) -> Image.Image:
    number = len(next(iter(images.values())))
    columns = min(COLUMNS, number)
    whole = number // columns * columns
    shown = [each[:whole].to(torch.float32) for each in images.values()]
    return with_labels(
        grid(interleave(*shown, columns=columns), columns=columns),
        title="Augmentation, update 0",
        about=about,
        rows=[*images] * (whole // columns),
    )
