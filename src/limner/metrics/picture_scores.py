"""Mean scores of a model's pictures over a set, and their entries in scores.json."""

__all__ = ["Tally", "add_pictures", "entries", "facts_of", "other_targets", "quality_for"]

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from limner.errors import UserError
from limner.interfaces import Batch
from limner.losses.perceptual import PerceptualDistance
from limner.metrics.baseline_scores import Baselines, PicturePairs
from limner.metrics.baselines import Pair, enlarged, shown_input
from limner.metrics.feature_buffer import permutation
from limner.metrics.picture_quality import PictureQuality
from limner.metrics.set_distances import SetTally


class Tally:
    """Sums of the scores of pictures.

    Args:
        quality: Scores of a picture.
    """

    def __init__(self, quality: PictureQuality) -> None:
        self.quality = quality
        self.sums = torch.zeros(1 + len(quality.scores), dtype=torch.float64)
        """Number of pictures, and the sum of each score."""

    def add(self, output: Tensor, batch: Batch) -> None:
        """Add the pictures of a batch; a picture of weight 0 does not count.

        Args:
            output: The model's pictures (B, C, H, W) in [-1, 1].
            batch: The batch, whose targets have this shape.
        """
        weights = batch.get("weight")
        for i, target in enumerate(batch["image"]):
            if weights is None or weights[i] > 0:
                found = self.quality(output[i], target)
                self.sums += torch.tensor([1.0, *found.values()], dtype=torch.float64)

    def means(self) -> dict[str, float]:
        """Return the mean of each score; {} without pictures."""
        number, *sums = self.sums.tolist()
        values = zip(self.quality.scores, sums, strict=True)
        return {name: total / number for name, total in values} if number else {}


def quality_for(
    data: PicturePairs,
    *,
    scores: Sequence[str],
    colour: Literal["auto", "y", "rgb"] = "auto",
    border: int | Literal["auto"] = "auto",
    perceptual: PerceptualDistance | None = None,
) -> PictureQuality:
    """Return the scores of a picture that fit a data set, with their weights loaded.

    Args:
        data: Data set of whole pictures.
        scores: Names out of `limner.metrics.picture_quality.SCORES`.
        colour: "y", "rgb", or "auto": y for super-resolution of colour pictures, else rgb.
        border: Number of pixels cut at each side; "auto": the scale for super-resolution, else 0.
        perceptual: Distance of the score `perceptual`, or None.

    Raises:
        UserError: If a value is out of its range, if the weights of the perceptual distance are
            not installed, or if it cannot read the pictures.
    """
    num_channels, scale = data.image_shape[0], getattr(data, "scale", 1)
    automatic = "y" if scale > 1 and num_channels == 3 else "rgb"
    cut = scale if scale > 1 else 0
    quality = PictureQuality(
        scores=scores,
        colour=automatic if colour == "auto" else colour,
        border=cut if border == "auto" else border,
        perceptual=perceptual,
    )
    if quality.perceptual is not None and num_channels not in (1, 3):
        raise UserError(
            f"metrics.scores: perceptual compares pictures of 1 or 3 channels, not {num_channels}."
        )
    quality.prepare()
    return quality


def add_pictures(sets: SetTally, output: Tensor, batch: Batch) -> None:
    """Add the pictures of a batch to the sets "output", "target" and "input".

    Args:
        sets: Features of the sets.
        output: The model's pictures (B, C, H, W) in [-1, 1].
        batch: The batch; its inputs are enlarged by copies of pixels if they are smaller.
    """
    weights = batch.get("weight")
    for i, target in enumerate(batch["image"]):
        weight = 1.0 if weights is None else float(weights[i])
        sets.add("output", output[i], weight=weight)
        sets.add("target", target, weight=weight)
        sets.add("input", enlarged(Pair(shown_input(batch, i), None, target)), weight=weight)


def other_targets(data: PicturePairs, split: str, num: int) -> list[Tensor] | None:
    """Return training targets, uint8 (C, H, W), for the floor of a distance to another split.

    Args:
        data: Data set of whole pictures.
        split: Split of the pictures that a model is scored on.
        num: Number of targets; a fixed shuffle chooses them.

    Returns:
        The targets, or None if the split is the training split, or if there are too few.
    """
    if split == "train" or not hasattr(data, "pictures"):
        return None
    store, indices = data.pictures("train")
    if len(indices) < num or not hasattr(store, "picture"):
        return None
    chosen = indices[permutation(len(indices))[:num]].sort().values
    return [store.picture(i) for i in chosen.tolist()]


def entries(
    means: Mapping[str, float],
    quality: PictureQuality,
    *,
    baselines: Baselines | None,
    facts: Mapping[str, Any],
) -> dict[str, dict[str, Any]]:
    """Return {"value", "protocol", "baselines"} of each score, for scores.json.

    Args:
        means: Mean of each score over the pictures.
        quality: Scores of a picture.
        baselines: Scores of the baselines on the same pictures, or None.
        facts: Facts of the protocol that all scores share.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, value in means.items():
        protocol = {**facts, **quality.protocol(name)}
        found[name] = {"value": value, "protocol": protocol}
        if baselines is not None:
            found[name]["baselines"] = {n: each[name] for n, each in baselines.values.items()}
            strengths = {n: fact for n, fact in baselines.facts.items() if fact}
            if strengths:
                protocol["baselines"] = strengths
    return found


def facts_of(data: PicturePairs, split: str, num_pictures: int) -> dict[str, Any]:
    """Return the facts of a set of pictures for the protocol of a score."""
    store, indices = data.pictures(split)
    chosen = hashlib.sha256(store.fingerprint.encode() + indices.numpy().tobytes())
    return {
        "data": data.name,
        "split": split,
        "num_pictures": num_pictures,
        "pictures": chosen.hexdigest()[:16],
        **data.protocol(),
    }
