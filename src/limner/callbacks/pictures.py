"""Grids of samples during training, always from the same noise, to show the progress."""

__all__ = ["Pictures", "class_labels", "grid", "interleave", "rows_of_classes"]

import json
from collections.abc import Iterable, Sequence

import lightning as L
import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from limner.callbacks.picture_labels import with_labels
from limner.callbacks.run_pictures import PeriodicPictures, write_picture
from limner.callbacks.validation_images import held_out
from limner.files.pictures import CAPTIONS
from limner.interfaces import Completes, Reconstructs, Samples, label_kwargs
from limner.models.conditions import drawn_labels
from limner.pixels import to_uint8
from limner.randomness import generator_for

SMALLEST_TILE = 64  # pixels; smaller images are enlarged to be visible
GAP = 2  # pixels between images
COLUMNS = 8  # number of columns in a grid of reconstructions


class Pictures(PeriodicPictures):
    """Callback that writes `samples/update_<n>.png` into the run folder, and `final.png` last.

    For a conditional model, each row of the grid shows one class. For a model that reconstructs,
    the callback also writes `samples/update_<n>_reconstructions.png`, with rows of held-out images
    and their reconstructions below them. For a model that completes images, it writes
    `..._completions.png`: held-out images whose lower halves the model draws. Loggers that accept
    images get the pictures too.

    Args:
        every_num_updates: Smallest number of updates between pictures, at least 1.
        num_images: Number of images in a grid of samples, at least 1.
        seed: Seed of the noise.
    """

    key = "pictures"

    def __init__(self, *, every_num_updates: int, num_images: int, seed: int) -> None:
        super().__init__(every_num_updates=every_num_updates, num_images=num_images)
        self.seed = seed

    def draw(self, trainer: L.Trainer, model: L.LightningModule, name: str) -> None:
        if getattr(model, "reads_frames", False):
            return  # limner.callbacks.sequence_pictures draws sequences
        with self.writing():
            if isinstance(model, Samples):
                self._draw_samples(trainer, model, name)
            if isinstance(model, Reconstructs):
                self._draw_reconstructions(trainer, model, name)
            if isinstance(model, Completes):
                self._draw_completions(trainer, model, name)

    def _draw_samples(self, trainer: L.Trainer, model: L.LightningModule, name: str) -> None:
        generator = generator_for(self.seed, "pictures")
        rows: list[str] = []
        captions = None
        if model.num_classes is None:
            texts = self._draw_texts(model)
            images = model.sample(self.num_images, generator=generator, **label_kwargs(texts))
            columns = round(self.num_images**0.5)
            about = [] if texts is None else ["Drawn for captions of training images."]
            if texts is not None and getattr(trainer.datamodule, "has_text", False):
                captions = [trainer.datamodule.tokenizer.decode(row) for row in texts.tolist()]
        else:
            labels, columns = rows_of_classes(model.num_classes, self.num_images)
            images = model.sample(len(labels), generator=generator, labels=labels)
            classes = labels[::columns].tolist()
            rows = class_labels(classes, getattr(trainer.datamodule, "class_names", []))
            some = len(rows) < model.num_classes
            first = f": the first {len(rows)} of {model.num_classes}" if some else ""
            about = [f"Each row shows one class{first}."]
        if getattr(model, "ema", None) is not None:
            about.append("Drawn with the EMA weights.")
        picture = with_labels(
            grid(images, columns=columns),
            title=f"Samples, update {trainer.global_step:,}",
            about=" ".join(about),
            rows=rows,
        )
        if captions is not None:
            picture.info[CAPTIONS] = json.dumps(captions)  # for `limner compare --blind`
        caption = " ".join(["Samples.", *about])
        write_picture(trainer, picture, name, key="samples", caption=caption)

    def _draw_texts(self, model: L.LightningModule) -> Tensor | None:
        """Draw the texts (num_images, L) of a grid; None if the model reads none."""
        if not getattr(model, "reads_text", False):
            return None
        return drawn_labels(
            model, self.num_images, generator=generator_for(self.seed, "pictures of captions")
        )

    def _draw_reconstructions(
        self, trainer: L.Trainer, model: L.LightningModule, name: str
    ) -> None:
        originals, labels = held_out(trainer, model, max(1, self.num_images // 2))
        columns = min(COLUMNS, len(originals))
        about = "The reconstructions of held-out images are below the originals."
        images = interleave(originals, model.reconstruct(originals, *labels), columns=columns)
        picture = with_labels(
            grid(images, columns=columns),
            title=f"Reconstructions, update {trainer.global_step:,}",
            about=about,
            rows=["original", "reconstruction"] * (len(images) // columns // 2),
        )
        write_picture(
            trainer, picture, f"{name}_reconstructions", key="reconstructions",
            caption=f"Reconstructions. {about}",
        )  # fmt: skip

    def _draw_completions(self, trainer: L.Trainer, model: L.LightningModule, name: str) -> None:
        originals, labels = held_out(trainer, model, max(1, self.num_images // 4))
        columns = min(COLUMNS, len(originals))
        about = "The upper half of each completion belongs to the held-out image above it."
        completed = model.complete(
            originals[:, :, : originals.shape[2] // 2],
            generator=generator_for(self.seed, "completions"),
            **label_kwargs(*labels or [None]),
        )
        images = interleave(originals, completed, columns=columns)
        picture = with_labels(
            grid(images, columns=columns),
            title=f"Completions, update {trainer.global_step:,}",
            about=about,
            rows=["original", "completion"] * (len(images) // columns // 2),
        )
        write_picture(
            trainer, picture, f"{name}_completions", key="completions",
            caption=f"Completions. {about}",
        )  # fmt: skip


def grid(images: Tensor, *, columns: int) -> Image.Image:
    """Return one picture of images (N, C, H, W) in [-1, 1], row by row.

    Images smaller than 64 pixels are enlarged by a whole factor: each pixel becomes a square. For
    images of 2 channels, the picture shows the first channel; for more than 4 channels, the first
    three.
    """
    channels = images.shape[1]
    if channels not in (1, 3, 4):
        images = images[:, :3] if channels > 3 else images[:, :1]
    pixels = to_uint8(images).cpu()
    factor = max(1, -(-SMALLEST_TILE // max(images.shape[2:])))
    pixels = pixels.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    tiles = make_grid(pixels, nrow=columns, padding=GAP, pad_value=255)
    return Image.fromarray(tiles.permute(1, 2, 0).contiguous().numpy())


def rows_of_classes(num_classes: int, num_images: int) -> tuple[Tensor, int]:
    """Return the labels and the number of columns of a grid with one row for each class.

    If there are many classes, the grid shows four images of each of the first classes.

    Returns:
        Labels int64 (N,) with N <= num_images, and the number of columns.
    """
    rows = min(num_classes, max(1, num_images // 4))
    columns = num_images // rows
    return torch.arange(rows).repeat_interleave(columns), columns


def class_labels(classes: Iterable[int], names: Sequence[str]) -> list[str]:
    """Return number and name of each class, or only a name that has the number ("7 - seven")."""
    found = []
    for number in classes:
        name = names[number] if number < len(names) else str(number)
        found.append(name if name.startswith(str(number)) else f"{number} {name}")
    return found


def interleave(*images: Tensor, columns: int) -> Tensor:
    """Return the first row of each of several tensors of images, then the second rows, and so on.

    Partial rows are left out.
    """
    rows = zip(*(each.split(columns) for each in images), strict=True)
    return torch.cat([part for parts in rows for part in parts if len(part) == columns])
