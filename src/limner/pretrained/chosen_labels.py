"""Checks of the classes, texts and numbers that a user chooses for images."""

__all__ = ["check_number", "chosen_condition", "chosen_labels"]

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limner.errors import UserError
from limner.models.conditions import is_conditional
from limner.pretrained.chosen_texts import chosen_texts


def check_number(name: str, value: float, least: int) -> None:
    """Raise UserError unless an argument is a finite number of at least `least`."""
    if not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise UserError(f"{name}={value}: must be a finite number.")
    if value < least:
        raise UserError(f"{name}={value}: must be {least} or more.")


def chosen_condition(
    module: nn.Module,
    facts: Mapping[str, Any],
    num_images: int,
    *,
    label: int | None = None,
    labels: Sequence[int] | None = None,
    text: str | Sequence[str] | None = None,
) -> Tensor | None:
    """Return the classes int64 (N,) or the texts int64 (N, L) of N images; None if none are given.

    Args:
        module: The model.
        facts: `data` of the model's config.
        num_images: N.
        label: Class of all images, or None.
        labels: Class of each image, or None.
        text: Text of all images or of each image, or None.

    Raises:
        UserError: If the model cannot read what is given, or a value is out of its range.
    """
    if label is None and labels is None and text is None:
        return None
    name = type(module).__name__
    if getattr(module, "reads_text", False):
        if label is not None or labels is not None:
            raise UserError(f"This {name} reads texts, not classes: give text=...")
        return torch.tensor(chosen_texts(text, num_images, facts))
    if text is not None:
        what = "reads classes: give label=..." if is_conditional(module) else "is unconditional."
        raise UserError(f"This {name} was trained without texts: it {what}")
    if not is_conditional(module):
        raise UserError(
            f"This {name} was trained without labels (it is unconditional), so the "
            "class of its images cannot be chosen."
        )
    given = chosen_labels(label, labels, num_images, num_classes=facts["num_classes"])
    return torch.tensor(given, dtype=torch.int64)


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
