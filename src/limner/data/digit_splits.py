"""Pictures of single digits in splits, from which other data are rendered."""

__all__ = ["DigitSplit", "digit_splits"]

import dataclasses
import hashlib
import math
from typing import NamedTuple

from torch import Tensor

from limner.data.checked_pictures import checked_pictures
from limner.data.shapes import SPLITS
from limner.data.sources import Source
from limner.data.splits import cut
from limner.data.store import open_store


class DigitSplit(NamedTuple):
    """Digits of one split."""

    images: Tensor
    """uint8 (N, D, D), white on black."""
    labels: Tensor | None
    """int64 (N,), or None without labels."""
    fingerprint: str
    """Text that changes with the digits."""


def digit_splits(
    source: Source,
    *,
    size: int,
    with_labels: bool,
    validation_fraction: float,
    test_fraction: float,
    split_seed: int,
    background: tuple[int, int, int],
) -> dict[str, DigitSplit]:
    """Return the digits of each split; the first call on a machine decodes them.

    No digit is in two splits. Splits that the source lacks are cut from its training digits.

    Args:
        source: Source of grey pictures of digits.
        size: Height and width D of a digit.
        with_labels: Whether to keep the labels.
        validation_fraction: Share of the training digits in the validation split.
        test_fraction: Share of the training digits in the test split, if the source has no test
            digits.
        split_seed: Seed of the choice of these digits.
        background: Colour behind transparent pixels.
    """
    pictures = checked_pictures(source)
    if not with_labels:
        pictures = {
            split: dataclasses.replace(
                found,
                labels=None,
                classes=[],
                label_problem=None,
                fingerprint=[found.fingerprint, "no labels"],
            )
            for split, found in pictures.items()
        }
    stores = {
        split: open_store(
            found, [1, size, size], kind="memory", memory_limit_gib=math.inf, on_corrupt="error",
            background=background,
        )
        for split, found in pictures.items()
    }  # fmt: skip
    splits = cut(
        {split: len(store) for split, store in stores.items()},
        validation_fraction=validation_fraction,
        test_fraction=0.0 if "test" in stores else test_fraction,
        seed=split_seed,
    )
    found = {}
    for split in SPLITS:
        name, indices = splits[split]
        store, chosen = stores[name], hashlib.sha256(indices.numpy().tobytes()).hexdigest()
        labels = None if store.labels is None else store.labels[indices]
        digits = store.gather(indices)[:, 0]
        found[split] = DigitSplit(digits, labels, f"{store.fingerprint} {chosen}")
    return found
