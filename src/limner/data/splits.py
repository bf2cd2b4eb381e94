"""Assignment of images to the training, validation and test splits that a source lacks."""

__all__ = ["check_fractions", "cut"]

from collections.abc import Mapping

import torch
from torch import Tensor

from limner.errors import UserError
from limner.randomness import generator_for


def check_fractions(validation: float, test: float) -> None:
    """Raise `UserError` for fractions that leave no images to train on."""
    if min(validation, test) < 0 or validation + test >= 1:
        raise UserError(
            f"data.validation_fraction={validation} and data.test_fraction={test}: must be 0 or "
            "more each, and below 1 together, so that images are left to train on."
        )


def cut(
    sizes: Mapping[str, int], *, validation_fraction: float, test_fraction: float, seed: int
) -> dict[str, tuple[str, Tensor]]:
    """Assign images to "train", "validation" and "test".

    Args:
        sizes: Number of images in each split of the source; "train" is required.
        validation_fraction: Share in [0, 1) of the training images to validate on, if the source
            has no validation images.
        test_fraction: Share in [0, 1) of the training images to test on, if the source has no
            test images.
        seed: Seed of the choice of images.

    Returns:
        For each of the three names, the source's split that contains the images, and int64 (N,)
        indices in that split.
    """
    rest = torch.randperm(total := sizes["train"], generator=generator_for(seed, "split"))
    splits = {}
    for name, fraction in {"validation": validation_fraction, "test": test_fraction}.items():
        if name in sizes:
            splits[name] = (name, torch.arange(sizes[name]))
        else:
            size = round(fraction * total)
            splits[name] = ("train", rest[:size].sort().values)
            rest = rest[size:]
    return {"train": ("train", rest.sort().values), **splits}
