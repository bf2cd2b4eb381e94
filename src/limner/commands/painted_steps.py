"""The steps in which a trained DRAW model paints its samples."""

__all__ = ["check_paints", "painted"]

from typing import Any

import numpy as np
import torch

from limner.config.options import with_options
from limner.errors import UserError
from limner.models import VAE
from limner.models.variational import paints
from limner.pretrained.arrays import to_numpy
from limner.pretrained.chosen_labels import chosen_condition
from limner.pretrained.trained_model import TrainedModel


def painted(model: TrainedModel, codes: np.ndarray, **condition: Any) -> np.ndarray:
    """Return uint8 images (T, N, H, W, C) of codes (N, latent_dim) after each of T steps.

    Args:
        model: The trained model.
        codes: Codes, such as `TrainedModel.latents` draws.
        condition: `label` or `text` of all images of a conditional model, see
            `TrainedModel.sample`.

    Raises:
        UserError: If the model does not paint in steps.
    """
    check_paints(model)
    labels = chosen_condition(model.module, model.config["data"], len(codes), **condition)
    return np.stack(
        [to_numpy(images.cpu()) for images in model.module.paint(torch.tensor(codes), labels)]
    )


def check_paints(model: TrainedModel) -> None:
    """Raise `UserError` unless the model paints in steps."""
    module = model.module
    if not (isinstance(module, VAE) and paints(module.network["decoder"])):
        raise UserError(
            f"mode=steps: {with_options(module)} does not paint in steps.\n"
            "Train a model=draw, or choose another mode."
        )
