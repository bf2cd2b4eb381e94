"""Assignment of images to the training, validation and test splits that a source lacks."""

__all__ = ["at_least_one", "check_fractions", "cut", "published"]

from collections.abc import Container, Mapping

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


def at_least_one(fraction: float, total: int) -> float:
    """Return a share of `total` images, raised so that it gives one image if it is above 0.

    Fewer than three images have no share to spare.
    """
    return max(fraction, 0.6 / total) if fraction > 0 and total >= 3 else fraction


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


def published(
    splits: Mapping[str, tuple[str, Tensor]], sources: Container[str], split: str, *, name: str
) -> tuple[str, Tensor]:
    """Return the source's split and the indices of the images that scores compare with.

    "train" and "test" are the whole splits of the data set's authors, as in published scores:
    validation images that were cut from the training images belong to "train". If the authors
    define no test images, "test" is the test split cut here, and "train" has all other images.

    Args:
        splits: Result of `cut`.
        sources: Names of the splits of the source.
        split: "train" or "test".
        name: Name of the data set, for messages.

    Raises:
        UserError: For another split, or if the data set has no such images.
    """
    if split not in ("train", "test"):
        raise UserError(f"metrics.reference_split={split}: choose train or test.")
    if split == "test" and not len(splits["test"][1]) and "validation" in sources:
        split = "validation"  # as for ImageNet, whose test labels are secret
    source, indices = splits[split]
    if split == "train":
        indices = torch.cat([i for at, i in splits.values() if at == "train"])
        if splits["test"][0] == "train":
            indices = indices[~torch.isin(indices, splits["test"][1])]
        indices = indices.sort().values
    if len(indices) == 0:
        raise UserError(f"metrics.reference_split={split}: {name} has no such images.")
    return source, indices
