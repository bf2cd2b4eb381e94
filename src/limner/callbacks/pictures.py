"""Grids of samples during training, always from the same noise, to show the progress."""

__all__ = ["Pictures", "grid", "rows_of_classes", "save"]

from collections.abc import Sequence
from pathlib import Path

import lightning as L
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.utils import make_grid

from limner.callbacks.validation_images import held_out
from limner.files.atomic import atomic_file
from limner.interfaces import Reconstructs, Samples
from limner.pixels import to_uint8
from limner.randomness import generator_for
from limner.warn_once import WarnOnce

SMALLEST_TILE = 64  # pixels; smaller images are enlarged to be visible
SAMPLES = "samples"
COMPRESSION = 3  # as small as PIL's default 6, in less than half of the time


class Pictures(L.Callback):
    """Callback that writes `samples/update_<n>.png` into the run folder, and `final.png` last.

    For a conditional model, each row of the grid shows one class. For a model that reconstructs,
    the callback also writes `samples/update_<n>_reconstructions.png`, with rows of held-out images
    and their reconstructions below them. Loggers that accept images get the pictures too.

    Args:
        every_num_updates: Number of updates between pictures, at least 1.
        num_images: Number of images in a grid of samples, at least 1.
        seed: Seed of the noise.
    """

    def __init__(self, *, every_num_updates: int, num_images: int, seed: int) -> None:
        if every_num_updates < 1 or num_images < 1:
            raise ValueError(
                "callbacks.pictures: every_num_updates and num_images must be 1 or more."
            )
        self.every_num_updates, self.num_images, self.seed = every_num_updates, num_images, seed
        self.writing = WarnOnce("Writing pictures", OSError)

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        if trainer.global_step % self.every_num_updates == 0:
            self._draw(trainer, model, f"{SAMPLES}/update_{trainer.global_step:08d}")

    def on_train_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self._draw(trainer, model, "final")

    def _draw(self, trainer: L.Trainer, model: L.LightningModule, name: str) -> None:
        if not trainer.is_global_zero:
            return
        if isinstance(model, Samples):
            generator = generator_for(self.seed, "pictures")
            if model.num_classes is None:
                images = model.sample(self.num_images, generator=generator)
                columns = round(self.num_images**0.5)
            else:
                labels, columns = rows_of_classes(model.num_classes, self.num_images)
                images = model.sample(len(labels), generator=generator, labels=labels)
            self._write(trainer, images, name, columns=columns)
        if isinstance(model, Reconstructs):
            originals, labels = held_out(trainer, model, max(1, self.num_images // 2))
            images = _interleave(originals, model.reconstruct(originals, *labels), columns=8)
            self._write(trainer, images, f"{name}_reconstructions", columns=8)

    def _write(self, trainer: L.Trainer, images: Tensor, name: str, *, columns: int) -> None:
        image = grid(images, columns=columns)
        path = Path(trainer.default_root_dir, f"{name}.png")
        with self.writing():
            save(image, path)
        key = "reconstructions" if name.endswith("reconstructions") else "samples"
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image(key=key, images=[image], step=trainer.global_step)


def grid(images: Tensor, *, columns: int) -> Image.Image:
    """Return one picture of images (N, C, H, W) in [-1, 1], row by row.

    Images smaller than 64 pixels are enlarged by bicubic interpolation. For images of 2 channels,
    the picture shows the first channel; for more than 4 channels, the first three.
    """
    images, channels = images.float().cpu(), images.shape[1]
    if channels not in (1, 3, 4):
        images = images[:, :3] if channels > 3 else images[:, :1]
    if max(images.shape[2:]) < SMALLEST_TILE:
        factor = -(-SMALLEST_TILE // max(images.shape[2:]))
        images = interpolate(images, scale_factor=factor, mode="bicubic")
    pixels = to_uint8(images)
    tiles = make_grid(pixels, nrow=columns, padding=2, pad_value=255)
    return Image.fromarray(tiles.permute(1, 2, 0).contiguous().numpy())


def save(image: Image.Image, path: Path) -> None:
    """Write an image as PNG in one step; create the folder `samples` if it is missing."""
    if path.parent.name == SAMPLES:  # a deleted run folder is not created again here
        path.parent.mkdir(exist_ok=True)
    with atomic_file(path, sync=False) as file:
        image.save(file, format="PNG", compress_level=COMPRESSION)


def rows_of_classes(num_classes: int, num_images: int) -> tuple[Tensor, int]:
    """Return the labels and the number of columns of a grid with one row for each class.

    If there are many classes, the grid shows four images of each of the first classes.

    Returns:
        Labels int64 (N,) with N <= num_images, and the number of columns.
    """
    rows = min(num_classes, max(1, num_images // 4))
    columns = num_images // rows
    return torch.arange(rows).repeat_interleave(columns), columns


def _interleave(above: Tensor, below: Tensor, *, columns: int) -> Tensor:
    """Return the rows of `above`, each followed by its row of `below`; leave out partial rows."""
    rows: Sequence[Tensor] = [
        part
        for pair in zip(above.split(columns), below.split(columns), strict=True)
        for part in pair
        if len(part) == columns
    ]
    return torch.cat(rows) if rows else torch.cat([above, below])
