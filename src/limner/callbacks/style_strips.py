"""Pictures in each style: input and outputs side by side, below the style pictures."""

__all__ = ["StyleStrips"]

import itertools

import lightning as L
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from limner.callbacks.picture_labels import with_labels
from limner.callbacks.pictures import grid
from limner.callbacks.run_pictures import PeriodicPictures, write_picture
from limner.models import StyleTransfer
from limner.pixels import to_float

TILE = 256  # pixels; height and width of a shown part of a picture
MOST_STYLES = 8  # largest number of styles with a column


class StyleStrips(PeriodicPictures):
    """Callback that writes the first validation pictures in each style of a style transfer.

    The files are `samples/update_<n>.png` in the run folder, and `final.png` at the end of
    training. The first row has the style pictures. Loggers that accept images get the pictures
    too. For other models, the callback does nothing.

    Args:
        every_num_updates: Number of updates between pictures, at least 1.
        num_images: Number of pictures with a row, at least 1.
    """

    key = "style_strips"

    def draw(self, trainer: L.Trainer, model: L.LightningModule, name: str) -> None:
        is_drawn = isinstance(model, StyleTransfer) and hasattr(
            trainer.datamodule, "whole_pictures"
        )
        if not is_drawn:
            return
        picture = _picture(trainer, model, self.num_images)
        if picture is None:
            return
        with self.writing():
            write_picture(
                trainer, picture, name, key="styles",
                caption="Validation pictures in each style, below the style pictures.",
            )  # fmt: skip


def _picture(trainer: L.Trainer, model: StyleTransfer, num_images: int) -> Image.Image | None:
    """Return the labelled picture; None if there are no validation pictures."""
    data, names = trainer.datamodule, model.choices["style"][:MOST_STYLES]
    if not len(data.pictures("validation")[1]):
        return None
    styles = to_float(model.style_pixels[: len(names)])
    tiles = [torch.ones(3, TILE, TILE), *map(_tile, styles)]
    batches = data.whole_pictures("validation", device=model.device)
    for batch in itertools.islice(batches, num_images):
        read = batch["input"], batch.get("mask")
        outputs = (model.transform(*read, style=name)[0] for name in names)
        tiles += map(_tile, (batch["image"][0], *outputs))
    return with_labels(
        grid(torch.stack(tiles), columns=1 + len(names)),
        title=f"Validation pictures in each style, update {trainer.global_step:,}",
        about=f"The first row has the style pictures. Centres of at most {TILE}x{TILE} pixels.",
        rows=["style", *(f"picture {i}" for i in range(1, len(tiles) // (1 + len(names))))],
        columns=["picture", *names],
    )


def _tile(picture: Tensor) -> Tensor:
    """Return the centre of a picture, float32 (3, 256, 256), small pictures on white."""
    height, width = picture.shape[1:]
    y, x = max(0, (height - TILE) // 2), max(0, (width - TILE) // 2)
    part = picture[:, y : y + TILE, x : x + TILE].detach().float().cpu().clamp(-1, 1)
    part = part.expand(3, -1, -1)
    factor = max(1, TILE // max(part.shape[1:]))
    part = part.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    return pad(part, (0, TILE - part.shape[2], 0, TILE - part.shape[1]), value=1.0)
