"""Mean scores of a model's pictures over a set, beside the scores of its baselines."""

__all__ = ["PicturePairs", "PictureScores", "Tally", "entries", "facts_of"]

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from limner.cache import cached_folder
from limner.errors import UserError
from limner.interfaces import Batch
from limner.losses.perceptual import PerceptualDistance
from limner.metrics.baselines import BASELINES, Baselines, baseline_scores, fitting
from limner.metrics.picture_quality import PictureQuality

log = logging.getLogger(__name__)

VERSION = 1  # of the baselines' code; a new version makes cached baselines useless


class PicturePairs(Protocol):
    """A data set of whole pictures with an input each, such as `limner.data.PictureDataModule`."""

    name: str
    image_shape: Sequence[int]
    scale: int
    split_seed: int

    def pictures(self, split: str) -> tuple[Any, Tensor]:
        """Return the store of a split, with a `fingerprint`, and the numbers of its pictures."""

    def whole_pictures(self, split: str, *, device: torch.device) -> Iterator[Batch]:
        """Yield the batch of each whole picture of a split."""

    def protocol(self) -> dict[str, Any]:
        """Return {"scale", "degradation"}, as plain data."""


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


class PictureScores:
    """Settings of the scores of pictures, and their baselines.

    Args:
        scores: Names out of `limner.metrics.picture_quality.SCORES`.
        colour: "y", "rgb", or "auto": y for super-resolution of colour pictures, else rgb.
        border: Number of pixels cut at each side; "auto": the scale for super-resolution, else 0.
        perceptual: Distance of the score `perceptual`, or None.
        baselines: Names out of `limner.metrics.baselines.BASELINES`; those that do not fit the
            data are left out.
        slow_megapixels: Number of megapixels of all pictures together above which slow baselines
            are left out.
    """

    def __init__(
        self,
        *,
        scores: Sequence[str],
        colour: Literal["auto", "y", "rgb"],
        border: int | Literal["auto"],
        perceptual: PerceptualDistance | None,
        baselines: Sequence[str],
        slow_megapixels: float,
    ) -> None:
        self.scores, self.colour, self.border = list(scores), colour, border
        self.perceptual, self.baselines = perceptual, list(baselines)
        self.slow_megapixels = slow_megapixels
        self._quality(scale=1, num_channels=3)  # checks the values
        fitting(self.baselines, scale=1, kinds=())

    def quality(self, data: PicturePairs) -> PictureQuality:
        """Return the scores that fit a data set, with their weights loaded.

        Raises:
            UserError: If the weights of the perceptual distance are not installed, or if it cannot
                read the pictures.
        """
        num_channels = data.image_shape[0]
        quality = self._quality(scale=getattr(data, "scale", 1), num_channels=num_channels)
        if quality.perceptual is not None and num_channels not in (1, 3):
            raise UserError(
                f"metrics.scores: perceptual compares pictures of 1 or 3 channels, not "
                f"{num_channels}."
            )
        quality.prepare()
        return quality

    def of_baselines(
        self,
        data: PicturePairs,
        split: str,
        quality: PictureQuality,
        *,
        device: torch.device,
        pause: Callable[[], None] | None = None,
    ) -> Baselines:
        """Return the scores of the baselines of a split, from the cache if they are there.

        Args:
            data: Data set of whole pictures with inputs.
            split: Name of the split.
            quality: Scores of a picture.
            device: Device on which inputs are made.
            pause: Function called before each picture; it may raise to stop.
        """
        names = fitting(self.baselines, scale=data.scale, kinds=_kinds(data.protocol()))
        store, indices = data.pictures(split)
        chosen = hashlib.sha256(indices.numpy().tobytes()).hexdigest()
        key = {
            "version": VERSION,
            "pictures": [store.fingerprint, chosen, data.split_seed],
            "made": data.protocol(),
            "scores": {name: quality.protocol(name) for name in quality.scores},
            "baselines": {name: list(BASELINES[name].grid) for name in names},
            "slow_megapixels": self.slow_megapixels,
        }

        def build(folder: Path) -> None:
            log.info("Scoring the baselines: %s. Later runs read them from the cache.",
                     ", ".join(names))  # fmt: skip
            found = baseline_scores(
                lambda: data.whole_pictures(split, device=device), names, quality,
                slow_megapixels=self.slow_megapixels, pause=pause,
            )  # fmt: skip
            (folder / "baselines.json").write_text(json.dumps(found._asdict()))

        folder = cached_folder("baselines", key, build)
        return Baselines(**json.loads((folder / "baselines.json").read_text()))

    def _quality(self, *, scale: int, num_channels: int) -> PictureQuality:
        automatic = "y" if scale > 1 and num_channels == 3 else "rgb"
        cut = scale if scale > 1 else 0
        return PictureQuality(
            scores=self.scores,
            colour=automatic if self.colour == "auto" else self.colour,
            border=cut if self.border == "auto" else self.border,
            perceptual=self.perceptual,
        )


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


def _kinds(protocol: Mapping[str, Any]) -> list[str]:
    """Return the kinds of the degradations in the protocol of data."""
    made = protocol.get("degradation") or {}
    return [part.get("kind", name) for name, part in made.items() if isinstance(part, Mapping)]
