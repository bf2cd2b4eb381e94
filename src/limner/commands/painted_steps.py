"""The steps in which a trained DRAW model paints its samples."""

__all__ = ["painted"]

import numpy as np
import torch

from limner.errors import UserError
from limner.files.printable import printable
from limner.models import VAE
from limner.models.variational import paints
from limner.pretrained.arrays import to_numpy
from limner.pretrained.trained_model import TrainedModel


def painted(model: TrainedModel, codes: np.ndarray, *, label: int | None) -> np.ndarray:
    """Return uint8 images (T, N, H, W, C) of codes (N, latent_dim) after each of T steps.

    Args:
        model: The trained model.
        codes: Codes, such as `TrainedModel.latents` draws.
        label: Class of all images of a conditional model, else None.

    Raises:
        UserError: If the model does not paint in steps.
    """
    module = model.module
    if not (isinstance(module, VAE) and paints(module.network["decoder"])):
        raise UserError(
            f"mode=steps: {printable(repr(model))} does not paint in steps.\n"
            "Train a model=draw, or choose another mode."
        )
    labels = None if label is None else torch.full((len(codes),), label)
    return np.stack(
        [to_numpy(images.cpu()) for images in module.paint(torch.tensor(codes), labels)]
    )
