"""The writing of pictures: into the run folder, and to the loggers that accept images."""

__all__ = ["SAMPLES", "write_picture"]

from pathlib import Path

import lightning as L
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from limner.files.atomic import atomic_file
from limner.files.pictures import GRID

SAMPLES = "samples"
COMPRESSION = 3  # files as small as with PIL's default 6, in less than half the time


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
    if GRID in picture.info:
        info.add_text(GRID, picture.info[GRID])
    with atomic_file(path, sync=False) as file:
        picture.save(file, format="PNG", compress_level=COMPRESSION, pnginfo=info)
