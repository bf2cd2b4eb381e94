"""The style pictures of a new run, read from the user's files into the model."""

__all__ = ["read_style_pictures"]

from pathlib import Path

import lightning as L
import torch

from limner.data.backgrounds import WHITE
from limner.data.decode import to_array
from limner.errors import UserError
from limner.files.pictures import load_picture
from limner.files.plain import NotPlainError
from limner.models import StyleTransfer


def read_style_pictures(model: L.LightningModule) -> None:
    """Read the style pictures into a model of style transfer; leave other models as they are.

    Each picture is scaled until it covers the square of the model, and its centre is taken.
    Transparent pixels become white.

    Raises:
        UserError: If a picture is missing or cannot be read.
    """
    if not isinstance(model, StyleTransfer):
        return
    shape = model.style_pixels.shape[1:]
    for number, path in enumerate(model.style_paths):
        try:
            picture = load_picture(Path(path).expanduser())
            array = to_array(picture, shape, background=WHITE)
        except (NotPlainError, OSError, RuntimeError, ValueError) as error:
            raise UserError(f"model.styles: the picture {path} {error}.") from error
        model.style_pixels[number] = torch.tensor(array)
