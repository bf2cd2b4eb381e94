"""Checks of the classes that a user chooses for images."""

__all__ = ["chosen_labels"]

from collections.abc import Sequence

import numpy as np

from limner.errors import UserError


def chosen_labels(
    label: int | None, labels: Sequence[int] | None, num_images: int, *, num_classes: int
) -> np.ndarray:
    """Return the class of each image, (num_images,).

    Args:
        label: Class of all images, or None.
        labels: Class of each image, or None; one of the two is given.
        num_images: Number of images.
        num_classes: Number of classes of the model.

    Raises:
        UserError: If both are given, or a class does not exist.
    """
    if label is not None and labels is not None:
        raise UserError(f"label={label} and labels are both set: choose one.")
    given = np.full(num_images, label) if labels is None else np.array(labels)
    if given.shape != (num_images,):
        raise UserError(
            f"labels must have one label for each of {num_images} images, not {given.size}."
        )
    if given.min() < 0 or given.max() >= num_classes:
        raise UserError(f"labels must be classes: the classes are 0 to {num_classes - 1}.")
    return given
