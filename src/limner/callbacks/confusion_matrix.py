"""Picture of a classifier's confusion matrix at the end of training."""

__all__ = ["ConfusionMatrix", "confusion_picture"]

from collections.abc import Sequence

import lightning as L
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from limner.callbacks.picture_labels import with_labels
from limner.callbacks.pictures import class_labels
from limner.callbacks.run_pictures import write_picture
from limner.warn_once import WarnOnce

MAX_NUMBERED, MAX_NAMED = 20, 100  # largest numbers of classes with counts, and with labels
WIDE, NARROW, WHOLE = 56, 18, 1200  # pixels: a tile with a count, a tile with a label, the matrix
DARK = np.array([8, 48, 107])  # colour of a share of 1; a share of 0 is white
GREEN = np.array([0, 90, 50])  # colour of an accuracy of 1
ABOUT = (
    "Held-out images of each true class (row) by predicted class (column). The last column is the "
    "share of the class that is predicted correctly."
)


class ConfusionMatrix(L.Callback):
    """Callback that writes `confusion_matrix.png` into the run folder when training ends.

    The picture shows the latest validation of a model with a `confusion_matrix`, such as
    `limner.models.Classifier`. Loggers that accept images get the picture too. For other models,
    and without validation, the callback does nothing.
    """

    def __init__(self) -> None:
        self.writing = WarnOnce("Writing the confusion matrix", OSError)

    def on_train_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        counts = getattr(model, "confusion_matrix", None)
        if counts is None or not trainer.is_global_zero:
            return
        names = getattr(trainer.datamodule, "class_names", [])
        title = f"Confusion matrix, update {trainer.global_step:,}"
        with self.writing():
            picture = confusion_picture(counts.cpu(), names, title=title)
            write_picture(
                trainer, picture, "confusion_matrix", key="confusion_matrix", caption=ABOUT
            )


def confusion_picture(counts: Tensor, names: Sequence[str], *, title: str) -> Image.Image:
    """Return the picture of a confusion matrix, with a last column for the accuracy of each class.

    The darkness of a tile is the share of the images of its row. Tiles have a number for up to 20
    classes, and rows have a name for up to 100 classes.

    Args:
        counts: Number of images of each true class (row) and predicted class, int64 (K, K).
        names: Names of the classes; classes without a name are numbered.
        title: First line of the picture.
    """
    num = len(counts)
    totals = counts.sum(1)
    shares = (counts / totals.clamp(min=1)[:, None]).numpy()
    shares = np.concatenate([shares, shares.diagonal()[:, None]], 1)[..., None]
    white = np.array([255, 255, 255])
    colours = white + shares * (DARK - white)
    colours[:, -1] = (white + shares * (GREEN - white))[:, -1]
    size = WIDE if num <= MAX_NUMBERED else NARROW if num <= MAX_NAMED else max(1, WHOLE // num)
    tiles = colours.round().astype(np.uint8).repeat(size, 0).repeat(size, 1)
    grid = Image.fromarray(tiles)
    if num <= MAX_NUMBERED:
        _write_numbers(grid, counts, size)
    is_named = num <= MAX_NAMED
    columns = [*map(str, range(num)), "correct" if num <= MAX_NUMBERED else ""]
    return with_labels(
        grid,
        title=title,
        about=ABOUT,
        rows=class_labels(range(num), names) if is_named else (),
        columns=columns if is_named else (),
    )


def _write_numbers(grid: Image.Image, counts: Tensor, size: int) -> None:
    """Write the count of each tile, and the accuracy of each class in percent."""
    draw, font = ImageDraw.Draw(grid), ImageFont.load_default(size // 4)
    for row, numbers in enumerate(counts.tolist()):
        total, right = sum(numbers), numbers[row]
        texts = [f"{number:,}" for number in numbers]
        texts.append(f"{right / total:.0%}" if total else "")
        for column, text in enumerate(texts):
            number = right if column == len(numbers) else numbers[column]
            fill = "white" if 2 * number > total else "black"
            middle = (column + 0.5) * size, (row + 0.5) * size
            draw.text(middle, text, fill=fill, font=font, anchor="mm")
