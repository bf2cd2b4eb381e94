"""Checks of what a source returns: a mistake of the source is named by its class and the rule."""

__all__ = ["checked_pairs", "checked_pictures", "without_images"]

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from limner.data.paired_store import PairedPictures
from limner.data.sources import Pictures, Source, SourceError
from limner.files.own_code import own_code

SPLITS = ("train", "validation", "test")


def checked_pictures(source: Source) -> dict[str, Pictures]:
    """Return the splits of a source.

    For a source that contains a class outside limner, the fingerprints contain its code, and a
    hash of the names and labels, so that the cache is not read after a change of these.

    Raises:
        SourceError: If the source breaks a rule of `Source` or `Pictures`.
    """
    found = source.pictures()
    _refuse_splits(source, found, kind=Pictures, method="pictures")
    return _checked(source, found)


def checked_pairs(source: Any) -> dict[str, PairedPictures]:
    """Return the splits of a source of pairs, see `checked_pictures`.

    Raises:
        SourceError: If the source breaks a rule of `PairSource`, `PairedPictures` or `Pictures`.
    """
    found = source.pairs()
    _refuse_splits(source, found, kind=PairedPictures, method="pairs")
    for split, pairs in found.items():
        if problem := _pair_problem(pairs):
            raise SourceError(f"data.source: {_name(source)}, {split}: {problem}")
    inputs, targets = (
        _checked(source, {split: getattr(pairs, side) for split, pairs in found.items()})
        for side in ("inputs", "targets")
    )
    return {
        split: PairedPictures(inputs[split], targets[split], list(pairs.names))
        for split, pairs in found.items()
    }


def without_images(source: Source) -> str:
    """Return the message about a source without training images; it shows the source's paths."""
    own = getattr(source, "__dict__", {})
    texts = {
        name: str(value)
        for name, value in own.items()
        if isinstance(value, str | Path) and not name.startswith("_")
    }
    kind = type(source)
    shown = ", ".join(f"{name}={value}" for name, value in texts.items())
    message = f"data.source={kind.__module__}.{kind.__qualname__} finds no training images"
    if not texts:
        return f"{message}."
    return (
        f"{message} ({shown}).\nA relative path starts at the current folder, {Path.cwd()}. To "
        f"choose another path: data.source.{next(iter(texts))}=PATH"
    )


def _refuse_splits(source: Any, found: Any, *, kind: type, method: str) -> None:
    """Raise `SourceError` unless `found` is a dict from names of splits to a kind of values."""
    values = list(found.values()) if isinstance(found, Mapping) else []
    others = [type(value).__name__ for value in values if not isinstance(value, kind)]
    if others or not isinstance(found, Mapping):
        what = type(found).__name__ + (f" with {others[0]}" if others else "")
        raise SourceError(
            f"data.source: {_name(source)}.{method}() returned {what}.\nIt must return a dict "
            f'from the name of a split to {kind.__name__}: {{"train": {kind.__name__}(...)}}.'
        )
    if "train" not in found or set(found) - set(SPLITS):
        names = ", ".join(map(str, found)) or "none"
        raise SourceError(
            f"data.source: {_name(source)}.{method}() has the splits {names}.\nThere must be "
            "train, and there may be validation and test."
        )


def _checked(source: Any, found: Mapping[str, Pictures]) -> dict[str, Pictures]:
    """Return the splits of a source with checked values, and its own code in the fingerprints."""
    code = own_code(source)
    for split, pictures in found.items():
        if problem := _problem(pictures, found["train"].classes, own=bool(code)):
            raise SourceError(f"data.source: {_name(source)}, {split}: {problem}")
    if len(found["train"]) == 0:
        raise SourceError(without_images(source))
    return {
        split: dataclasses.replace(
            pictures,
            read=_checked_read(source, pictures.read),
            fingerprint=[pictures.fingerprint, code, _listed(pictures)]
            if code
            else pictures.fingerprint,
        )
        for split, pictures in found.items()
    }


def _pair_problem(pairs: PairedPictures) -> str | None:
    """Return the first rule that the pairs of a split break, or None."""
    for side in ("inputs", "targets"):
        pictures = getattr(pairs, side)
        if not isinstance(pictures, Pictures):
            return f"{side} must be Pictures, not {type(pictures).__name__}."
    lengths = [len(pairs.inputs.names), len(pairs.targets.names), len(pairs.names)]
    if len(set(lengths)) > 1:
        return "there must be as many inputs as targets and names, not {}, {} and {}.".format(
            *lengths
        )
    if any(side.labels is not None for side in (pairs.inputs, pairs.targets)):
        return "pairs have no labels: labels must be None."
    return None


def _problem(pictures: Pictures, classes: Sequence[str], *, own: bool) -> str | None:
    """Return the first rule that the pictures of a split break, or None.

    Args:
        pictures: Pictures of the split.
        classes: Names of the classes of the split "train".
        own: Whether to check facts that limner's own sources always get right.
    """
    for key in ("names", "classes"):
        words = getattr(pictures, key)
        if isinstance(words, str) or not isinstance(words, Sequence):
            return f"{key} must be a list of text, not {type(words).__name__}."
        for word in words:
            if not isinstance(word, str):
                return f"{key} must be a list of text; it has {_short(word)}."
    if not callable(pictures.read):
        return f"read must be a function of a number, not {type(pictures.read).__name__}."
    if pictures.labels is not None and classes and list(pictures.classes) != list(classes):
        return "its classes are not the classes of train.\nAll splits must have the same classes."
    if problem := _label_problem(pictures, len(pictures.classes)):
        return problem
    if problem := _text_problem(pictures):
        return problem
    for key in ("fingerprint", "sizes") if own else ():
        try:
            json.dumps(getattr(pictures, key), sort_keys=True)
        except (TypeError, ValueError) as error:
            return (
                f"{key} must be plain JSON data\n(lists, dicts, text, Python's numbers): {error}."
            )
    return None


def _text_problem(pictures: Pictures) -> str | None:
    """Return the first rule that captions or groups of a split break, or None."""
    for key in ("texts", "groups"):
        values, num_names = getattr(pictures, key), len(pictures.names)
        if values is None:
            continue
        if isinstance(values, str) or not isinstance(values, Sequence):
            return f"{key} must be a list, or None, not {type(values).__name__}."
        if len(values) != num_names:
            return (
                f"{key} has {len(values):,} entries, but names has {num_names:,}.\n"
                "Each picture must have one entry."
            )
        for value in values:
            several = value if key == "texts" and isinstance(value, list | tuple) else [value]
            if not several or not all(isinstance(each, str) for each in several):
                rule = "text, or lists of text" if key == "texts" else "text"
                return f"{key} must be a list of {rule}; it has {_short(value)}."
    return None


def _label_problem(pictures: Pictures, num_classes: int) -> str | None:
    labels, num_names = pictures.labels, len(pictures.names)
    if labels is None:
        if pictures.classes and pictures.label_problem is None:
            return (
                f"labels is None, but classes has {len(pictures.classes)} names.\n"
                "Pictures without labels have classes=[]."
            )
        return None
    rule = f"labels must be integers from 0 to {num_classes - 1}\n(classes has "
    rule += f"{num_classes} names), or None"
    if not hasattr(labels, "__len__") or isinstance(labels, str):
        return f"{rule}, not {type(labels).__name__}."
    if len(labels) != num_names:
        return (
            f"labels has {len(labels):,} entries, but names has {num_names:,}.\n"
            "Each picture must have one label."
        )
    if num_names == 0:
        return None
    if num_classes == 0:
        return "labels has numbers, but classes is empty.\nclasses must name each class."
    try:
        array = np.asarray(labels)
    except ValueError:  # lists of different lengths
        return f"{rule}; the first is {_short(labels[0])}."
    if array.ndim != 1 or array.dtype.kind not in "iu":
        wrong = next(
            (value for value in labels if not isinstance(value, int) or isinstance(value, bool)),
            labels[0],
        )
        return f"{rule}; it contains {_short(wrong)}."
    outside = (array < 0) | (array >= num_classes)
    if outside.any():
        i = int(outside.argmax())
        return f"{rule}; {pictures.names[i]} has {array[i]}."
    return None


def _checked_read(
    source: Source, read: Callable[[int], Image.Image]
) -> Callable[[int], Image.Image]:
    def checked(i: int) -> Image.Image:
        picture = read(i)
        if not isinstance(picture, Image.Image):
            raise SourceError(
                f"data.source: read({i}) of {_name(source)} returned "
                f"{type(picture).__module__}.{type(picture).__name__}.\nIt must return a PIL "
                "image; for a uint8 array: PIL.Image.fromarray(array)."
            )
        return picture

    return checked


def _listed(pictures: Pictures) -> str:
    """Return a SHA-256 of the names and labels."""
    labels = pictures.labels if pictures.labels is None else np.asarray(pictures.labels).tolist()
    text = json.dumps([list(pictures.names), labels])
    return hashlib.sha256(text.encode()).hexdigest()


def _name(source: Any) -> str:
    return f"{type(source).__module__}.{type(source).__qualname__}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
