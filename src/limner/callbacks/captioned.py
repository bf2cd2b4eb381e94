"""Images of a data module with their captions, as judges and pictures read them."""

__all__ = ["captioned", "for_judges", "refuse_uncaptioned", "scored_split", "unknown_words"]

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from limner.callbacks.validation_images import spread
from limner.data.vocabulary import split_words
from limner.errors import UserError
from limner.metrics.attributes import attributes_of
from limner.metrics.caption_scorer import Captioned

SPLITS = ("validation", "test", "train")
"""Splits in the order in which training prefers them for scores and pictures."""


def refuse_uncaptioned(data: Any, key: str) -> None:
    """Raise `UserError` for data without captions; `key` names what needs them."""
    if not getattr(data, "has_text", False):
        raise UserError(
            f"{key} needs images with captions, and data={getattr(data, 'name', None)} has none:\n"
            "choose data=captioned, data=huggingface, or data=shapes data.captions=true."
        )


def scored_split(data: Any, splits: Sequence[str] = SPLITS) -> str:
    """Return the first of some splits that has images."""
    return next(name for name in splits if len(data.split(name)[1]))


def captioned(data: Any, split: str, num_images: int | None = None) -> Captioned:
    """Return images of a split with their captions.

    Args:
        data: Data module of images with captions.
        split: "train", "validation" or "test".
        num_images: Largest number of images, taken at equal distances; None for all images.
    """
    store, indices = data.originals(split)
    if num_images is not None:
        indices = spread(indices, num_images)
    shown = attributes_of(store, indices)
    return Captioned(
        store, indices, [split_words(text) for text in data.captions(split, indices)], shown,
        _held_out(data, shown, len(indices)),
        {"data": data.name, "split": split, "fingerprint": store.fingerprint[:16]},
    )  # fmt: skip


def for_judges(data: Any) -> Captioned:
    """Return the training images, or as many of all combinations if some are held out."""
    store, indices = data.originals("train")
    whole = getattr(store, "every_combination", store)
    if whole is store:
        return captioned(data, "train")
    indices = torch.arange(len(whole))
    captions = [split_words(text) for text in whole.about.captions]
    shown = attributes_of(whole, indices)
    return Captioned(whole, indices, captions, shown, _held_out(data, shown, len(whole)), {})


def unknown_words(data: Any, split: str, indices: Tensor) -> list[str]:
    """Return the words of captions that the vocabulary lacks, the most frequent first."""
    counts: dict[str, int] = {}
    for caption in data.captions(split, indices):
        for word in data.tokenizer.unknown(caption):
            counts[word] = counts.get(word, 0) + 1
    return sorted(counts, key=lambda word: (-counts[word], word))


def _held_out(data: Any, shown: dict[str, list[str]], num_images: int) -> Tensor:
    """Return whether the source holds out the combination of colour and kind of each image."""
    names = set(getattr(data.source, "held_out", ()))
    if not names or not {"colour", "kind"} <= shown.keys():
        return torch.zeros(num_images, dtype=torch.bool)
    pairs = zip(shown["colour"], shown["kind"], strict=True)
    return torch.tensor([f"{colour} {kind}" in names for colour, kind in pairs])
