"""The cost of training on images as large as the first picture, and the limit of that cost."""

__all__ = ["judge_image_size"]

import logging
from collections.abc import Sequence

from torch import nn

from limner.errors import UserError

log = logging.getLogger(__name__)

LARGE = 128
USUAL = 64
MAX_PARAMETERS = 300_000_000


def judge_image_size(model: nn.Module, image_shape: Sequence[int]) -> None:
    """Log the cost of a default image size above 128 pixels; refuse a huge model of that size.

    Args:
        model: The model, built for this image size.
        image_shape: Shape [C, H, W] of the first picture.

    Raises:
        UserError: If the model has more than 300 million parameters.
    """
    channels, height, width = image_shape
    if max(height, width) <= LARGE:
        return
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    smaller = f"data.image_shape=[{channels},{USUAL},{USUAL}]"
    if parameters > MAX_PARAMETERS:
        raise UserError(
            f"data.image_shape=null takes the size of the first image, {width}x{height} pixels:"
            "\n"
            f"a model of {parameters:,} parameters, and {MAX_PARAMETERS:,} is the limit.\n"
            f"Choose another size: {smaller}. To keep this size: data.image_shape=[{channels},"
            f"{height},{width}]"
        )
    log.warning(
        "Training on %dx%d pixels, the size of the first image: %.0f times the values\n"
        "of %dx%d, and a model of %s parameters. Smaller and faster:\n%s",
        width, height, height * width / USUAL**2, USUAL, USUAL, f"{parameters:,}", smaller,
    )  # fmt: skip
