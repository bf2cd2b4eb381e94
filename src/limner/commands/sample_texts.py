"""Texts in `limner sample`: which texts the images have, and pictures with their texts."""

__all__ = [
    "check_condition",
    "chosen",
    "chosen_for_each",
    "drawn",
    "image_grid",
    "in_name",
    "pictures_of_texts",
    "rows_of_texts",
    "texts_of",
    "usual_number",
    "with_texts",
]

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import yaml
from PIL import Image

from limner.callbacks.caption_tiles import caption_grid, with_row_texts
from limner.callbacks.pictures import grid
from limner.commands.options import Sample as Options
from limner.commands.sequence_files import as_float
from limner.data.vocabulary import split_words
from limner.errors import UserError
from limner.pretrained.chosen_texts import known_texts
from limner.pretrained.trained_model import TrainedModel

MOST_LETTERS = 60
"""Largest number of letters of texts in a file name."""


def texts_of(options: Options) -> list[str]:
    """Return the texts of `text=...`: one text, or a list in brackets; [] without any.

    Raises:
        UserError: If a list in brackets cannot be read, or is empty.
    """
    written = options.text
    if written is None:
        return []
    if not (written.startswith("[") and written.endswith("]")):
        return [written]
    try:
        found = yaml.safe_load(written)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, list) or not found or any(isinstance(x, dict | list) for x in found):
        raise UserError(
            f"text={written}: a list of texts is written text='[a red circle,a blue star]', with\n"
            "quotes around a text that has a comma or a colon: text='[\"one, two\",three]'."
        )
    return ["null" if each is None else str(each) for each in found]


def chosen(options: Options) -> dict[str, Any]:
    """Return the class or the text of all images, as arguments of `TrainedModel`.

    Both are None if there are several, or none.
    """
    labels, texts = options.labels, texts_of(options)
    return {
        "label": labels[0] if labels is not None and len(labels) == 1 else None,
        "text": texts[0] if len(texts) == 1 else None,
    }


def chosen_for_each(options: Options) -> dict[str, Any]:
    """Return the class or the text of all images, or of each image, as `chosen` does."""
    one, texts = chosen(options), texts_of(options)
    several = {"labels": options.labels if one["label"] is None else None}
    several |= {"text": texts} if len(texts) > 1 else {}
    return one | several


def check_condition(options: Options, model: TrainedModel) -> None:
    """Raise `UserError` unless a conditional model has one class or one text for all images."""
    if model.is_conditional and set(chosen(options).values()) == {None}:
        what = "one text: text=..." if model.reads_text else "one class, such as labels=[0]."
        raise UserError(f"mode={options.mode} of a conditional model needs {what}")


def drawn(options: Options, model: TrainedModel, num_images: int) -> Iterator[np.ndarray]:
    """Yield batches of the images that the options ask for."""
    of = {"seed": options.seed, "truncation": options.truncation}
    return model.batches(num_images, **of, **chosen_for_each(options))


def usual_number(options: Options, default: int) -> int:
    """Return the number of images if the user has chosen none: one for each of several texts."""
    texts = texts_of(options) if options.mode in ("grid", "folder", "npz") else []
    return len(texts) if len(texts) > 1 else default


def image_grid(images: np.ndarray, *, columns: int) -> Image.Image:
    """Return a picture of images uint8 (N, H, W, C), row by row."""
    return grid(as_float(images), columns=columns)


def in_name(options: Options) -> list[str]:
    """Return the part of a file name that states the texts; [] without any."""
    words = split_words(" ".join(texts_of(options)))
    return ["-".join(words)[:MOST_LETTERS]] if words else []


def with_texts(images: np.ndarray, texts: Sequence[str], *, title: str) -> Image.Image:
    """Return a picture of images with a text below each, or with the only text as its title.

    Args:
        images: uint8 (N, H, W, C).
        texts: One text, or N texts.
        title: Title of a picture of several texts.
    """
    columns = round(len(images) ** 0.5)
    if len(texts) == len(images):
        return caption_grid(as_float(images), texts, columns=columns, title=title)
    return with_row_texts(image_grid(images, columns=columns), [], title=texts[0], about=title)


def pictures_of_texts(model: TrainedModel, num_images: int) -> Image.Image:
    """Return a picture of images for different training captions, with their texts."""
    texts = known_texts(model.module.captions, model.config["data"], num_images)
    if not texts:  # a model that has not been trained keeps no captions
        return image_grid(model.sample(num_images), columns=round(num_images**0.5))
    images = model.sample(len(texts), text=texts)
    return with_texts(images, texts, title="Samples, seed 0")


def rows_of_texts(options: Options, model: TrainedModel, num_columns: int) -> Image.Image:
    """Return a picture with a row for each text; the images of a column share their noise.

    Raises:
        UserError: If the model reads no texts, or there is no text.
    """
    texts = texts_of(options)
    if not model.reads_text:
        raise UserError(f"mode=captions: the model of run={options.run} reads no texts.")
    if not texts:
        raise UserError(
            "mode=captions needs texts, such as text='[a red circle,a blue star]': a row for each."
        )
    of = {"seed": options.seed, "truncation": options.truncation}
    rows = [model.sample(num_columns, text=text, **of) for text in texts]
    images = image_grid(np.concatenate(rows), columns=num_columns)
    return with_row_texts(images, texts, title=f"Samples, seed {options.seed}")
