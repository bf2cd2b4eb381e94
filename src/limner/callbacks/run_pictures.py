"""The writing of pictures: into the run folder, and to the loggers that accept images."""

__all__ = ["SAMPLES", "PeriodicPictures", "write_picture"]

from pathlib import Path

import lightning as L
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from limner.files.atomic import atomic_file
from limner.files.pictures import CAPTIONS, GRID
from limner.schedules import Interval
from limner.warn_once import WarnOnce

SAMPLES = "samples"
COMPRESSION = 3  # files as small as with PIL's default 6, in less than half the time


class PeriodicPictures(L.Callback):
    """Base of the callbacks that draw pictures after some updates, and at the end of training.

    A subclass sets `key` and defines `draw`.

    Args:
        every_num_updates: Smallest number of updates between pictures, at least 1.
        num_images: Number of images, at least `fewest`.
    """

    key: str
    """Key of the callback in the config."""
    number = "num_images"
    """Name of the argument with the number of images."""
    fewest = 1
    """Smallest number of images."""

    def __init__(self, *, every_num_updates: int, num_images: int) -> None:
        if every_num_updates < 1 or num_images < self.fewest:
            raise ValueError(
                f"callbacks.{self.key}: every_num_updates must be 1 or more, and "
                f"{self.number} {self.fewest} or more."
            )
        self.interval = Interval(every=every_num_updates, growth=0.0)
        self.num_images = num_images
        self.writing = WarnOnce(f"Writing {self.key}", OSError)

    def draw(self, trainer: L.Trainer, model: L.LightningModule, name: str) -> None:
        """Draw and write pictures, in the first process.

        Args:
            trainer: Trainer of the run.
            model: The model.
            name: Path of the picture below the run folder, without the ending .png.
        """
        raise NotImplementedError

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        if trainer.is_global_zero and self.interval.is_due(trainer.global_step):
            self.draw(trainer, model, f"{SAMPLES}/update_{trainer.global_step:08d}")

    def on_train_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if trainer.is_global_zero:
            self.draw(trainer, model, "final")


def write_picture(
    trainer: L.Trainer,
    picture: Image.Image,
    name: str,
    *,
    key: str,
    caption: str,
) -> None:
    """Pass a picture to each logger with `log_image`, and write it into the run folder.

    Every picture of training is written by this function, so that no logger lacks one. Only the
    first process calls it.

    Args:
        trainer: Trainer of the run.
        picture: The picture, with labels.
        name: Path below the run folder, without the ending .png.
        key: Key of the picture for the loggers, the same at every update.
        caption: Description of the picture for the loggers, the same at every update.

    Raises:
        OSError: If the file cannot be written; the loggers have the picture.
    """
    for logger in trainer.loggers:
        if hasattr(logger, "log_image"):
            logger.log_image(
                key=key, images=[picture], step=trainer.global_step, caption=[caption]
            )
    _save(picture, Path(trainer.default_root_dir, f"{name}.png"))


def _save(picture: Image.Image, path: Path) -> None:
    """Write a picture as PNG in one step; create the folder `samples` if it is missing."""
    if path.parent.name == SAMPLES:  # a deleted run folder is not created again here
        path.parent.mkdir(exist_ok=True)
    info = PngInfo()
    for key in (GRID, CAPTIONS):
        if key in picture.info:
            info.add_text(key, picture.info[key])
    with atomic_file(path, sync=False) as file:
        picture.save(file, format="PNG", compress_level=COMPRESSION, pnginfo=info)
