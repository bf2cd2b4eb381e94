"""The condition y of a model: a class, or a text.

    labels    classes int64 (B,), or texts int64 (B, L) of L token numbers each; see
              `limner.data.vocabulary`

What hands labels on need not know which of both they are. A model with the attribute `reads_text`
true reads texts: its `num_classes` is None, and its buffer `captions` int64 (K, L) has texts of
the training images.
"""

__all__ = [
    "NUM_CAPTIONS",
    "drawn_labels",
    "given_labels",
    "is_conditional",
    "keep_captions",
    "labels_at",
    "read_texts",
]

from typing import Any

import torch
from torch import Generator, Tensor, nn

from limner.errors import UserError
from limner.interfaces import Batch, ImageStore
from limner.randomness import uniform_labels

NUM_CAPTIONS = 256  # training captions that a model keeps for samples without a given text


def given_labels(model: object, batch: Batch) -> Tensor | None:
    """Return the texts (B, L) or classes (B,) of a batch that a model reads; None if neither."""
    if getattr(model, "reads_text", False):
        return batch["text"]
    return None if getattr(model, "num_classes", None) is None else batch["label"]


def labels_at(model: object, store: ImageStore, indices: Tensor) -> Tensor | None:
    """Return the texts (B, L) or classes (B,) that a model reads, of a store's images.

    The result is on the CPU. It is None for an unconditional model, and for images without labels.
    """
    if not is_conditional(model):
        return None
    name = "texts" if getattr(model, "reads_text", False) else "labels"
    found = getattr(store, name, None)
    return None if found is None else found[indices]


def is_conditional(model: object) -> bool:
    """Return whether a model reads the class or the text of an image."""
    return getattr(model, "reads_text", False) or getattr(model, "num_classes", None) is not None


def drawn_labels(model: object, num_images: int, *, generator: Generator | None) -> Tensor | None:
    """Draw the condition of each image from a uniform distribution.

    Args:
        model: Model with classes, with texts, or without both.
        num_images: Number of images.
        generator: Generator on the CPU; None for torch's own.

    Returns:
        Rows int64 (num_images, L) of the model's `captions`, or classes int64 (num_images,), on
        the CPU; None for an unconditional model.
    """
    if not getattr(model, "reads_text", False):
        num_classes = getattr(model, "num_classes", None)
        return uniform_labels(num_images, num_classes, generator=generator)
    captions = model.captions.cpu()
    return captions[torch.randint(len(captions), (num_images,), generator=generator)]


def read_texts(model: nn.Module, encoder: nn.Module | None) -> None:
    """Make a model read texts if it has an encoder of texts; its captions are zeros at first.

    The encoder has the attributes `length`, the number of tokens of a text, and `code_dim`.
    """
    model.reads_text = encoder is not None
    if encoder is not None:
        model.code_dim = encoder.code_dim
        captions = torch.zeros(NUM_CAPTIONS, encoder.length, dtype=torch.int64)
        model.register_buffer("captions", captions)


def keep_captions(model: nn.Module, data: Any) -> None:
    """Fill the `captions` of a model that reads texts with texts at equal distances in training.

    A data module without limner's splits leaves them as they are. A frozen encoder of texts is
    read, too.

    Raises:
        UserError: If the frozen encoder is not installed, or cannot be read.
    """
    if not getattr(model, "reads_text", False):
        return
    for part in model.modules():
        if hasattr(part, "load_pretrained"):
            try:
                part.load_pretrained()
            except ValueError as error:
                raise UserError(str(error)) from error
    if not hasattr(data, "split"):
        return
    store, indices = data.split("train")
    chosen = torch.linspace(0, len(indices) - 1, len(model.captions)).long()
    model.captions.copy_(store.texts[indices[chosen]])
