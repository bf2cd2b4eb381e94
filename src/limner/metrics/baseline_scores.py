"""The best of each baseline on a set of pictures, and its scores, which are kept in the cache.

A baseline with a strength has the strength with the largest mean PSNR over the pictures, so it is
the best of its kind. For this choice only the centre of each picture counts. The strength is part
of the baseline's facts.
"""

__all__ = [
    "Baselines",
    "PicturePairs",
    "baseline_scores",
    "cached_baselines",
    "fitting",
    "fitting_for",
]

import hashlib
import json
import logging
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from limner.cache import cached_folder
from limner.console import Bar
from limner.errors import UserError
from limner.interfaces import Batch
from limner.metrics.baselines import BASELINES, Baseline, Pair, pairs_of
from limner.metrics.picture_quality import PictureQuality
from limner.pixels import to_float

log = logging.getLogger(__name__)

VERSION = 1  # of the baselines' code; a new version makes cached baselines useless


class PicturePairs(Protocol):
    """A data set of whole pictures with an input each, such as `limner.data.PictureDataModule`."""

    name: str
    image_shape: Sequence[int]
    scale: int
    split_seed: int

    def pictures(self, split: str) -> tuple[Any, Tensor]:
        """Return the store of a split, and the int64 numbers (N,) of its pictures.

        The store has a `fingerprint`, the `sizes` (height, width) of all its pictures (M, 2), and
        `picture(i)`, which returns target number i, uint8 (C, H, W).
        """

    def whole_pictures(self, split: str, *, device: torch.device) -> Iterator[Batch]:
        """Yield the batch of each whole picture of a split."""

    def protocol(self) -> dict[str, Any]:
        """Return {"scale", "degradation"}, as plain data."""


class Baselines(NamedTuple):
    """Scores of the baselines of one set of pictures."""

    values: dict[str, dict[str, float]]
    """Mean of each score over the pictures, by baseline and score."""
    facts: dict[str, str]
    """Strength of each baseline, such as "sigma 1 (best of 0.5, 1, 2)"; empty without one."""
    num_pictures: int


def cached_baselines(
    data: PicturePairs,
    split: str,
    quality: PictureQuality,
    names: Sequence[str],
    *,
    slow_megapixels: float,
    device: torch.device,
    pause: Callable[[], None] | None = None,
) -> Baselines:
    """Return the scores of the baselines of a split, from the cache if they are there.

    Args:
        data: Data set of whole pictures with inputs.
        split: Name of the split.
        quality: Scores of a picture.
        names: Names out of `BASELINES`; those that do not fit the data are left out.
        slow_megapixels: Number of megapixels of all pictures together above which slow baselines
            are left out.
        device: Device on which inputs are made.
        pause: Function called before each picture; it may raise to stop.
    """
    store, indices = data.pictures(split)
    names = fitting_for(data, split, names)
    key = {
        "version": VERSION,
        "pictures": [store.fingerprint, _hash(indices), data.split_seed],
        "made": data.protocol(),
        "scores": {name: quality.protocol(name) for name in quality.scores},
        "baselines": {name: list(BASELINES[name].grid) for name in names},
        "slow_megapixels": slow_megapixels,
    }
    if any(BASELINES[name].needs_mean for name in names):
        training, chosen = data.pictures("train")
        key["mean_of"] = [training.fingerprint, _hash(chosen)]

    def build(folder: Path) -> None:
        log.info("Scoring the baselines: %s. Later runs read them from the cache.",
                 ", ".join(names))  # fmt: skip
        size = _common_size(data, split)
        mean = _mean_target(data, size) if "mean_of" in key else None
        found = baseline_scores(
            lambda: data.whole_pictures(split, device=device), names, quality,
            slow_megapixels=slow_megapixels, mean=mean, pause=pause, total=len(indices),
        )  # fmt: skip
        (folder / "baselines.json").write_text(json.dumps(found._asdict()))

    folder = cached_folder("baselines", key, build)
    return Baselines(**json.loads((folder / "baselines.json").read_text()))


def fitting_for(data: PicturePairs, split: str, names: Sequence[str]) -> list[str]:
    """Return the baselines that fit a data set, when a split of it is scored.

    Raises:
        UserError: If a name is unknown.
    """
    has_mean = _common_size(data, split) is not None
    return fitting(names, scale=data.scale, kinds=_kinds(data.protocol()), has_mean=has_mean)


def fitting(
    names: Sequence[str], *, scale: int, kinds: Sequence[str], has_mean: bool = False
) -> list[str]:
    """Return the baselines that fit a task.

    Args:
        names: Names out of `BASELINES`.
        scale: Height of a target divided by the height of its input.
        kinds: Kinds of the degradations, such as "holes".
        has_mean: Whether all pictures have one size, so that the training targets have a mean.

    Raises:
        UserError: If a name is unknown.
    """
    for name in names:
        if name not in BASELINES:
            raise UserError(f"metrics.baselines: {name}: choose from {', '.join(BASELINES)}.")
    fits = [name for name in names if BASELINES[name].fits(scale, kinds)]
    return [name for name in fits if has_mean or not BASELINES[name].needs_mean]


def baseline_scores(
    batches: Callable[[], Iterable[Batch]],
    names: Sequence[str],
    quality: PictureQuality,
    *,
    slow_megapixels: float,
    mean: Tensor | None = None,
    pause: Callable[[], None] | None = None,
    total: int | None = None,
) -> Baselines:
    """Return the scores of baselines, and show the progress.

    Args:
        batches: Function that returns the batches of whole pictures, the same at each call.
        names: Names out of `BASELINES` that fit the task.
        quality: Scores of a picture.
        slow_megapixels: Number of megapixels of all targets together above which slow baselines
            are left out, with a warning.
        mean: Mean target (C, H, W) of the training pictures, for baselines that need it.
        pause: Function called before each picture; it may raise to stop.
        total: Number of pictures, for the progress; None if it is unknown.
    """
    pixels, best = 0, {}
    errors: dict[str, dict[float, list[float]]] = {name: {} for name in names}
    psnr = PictureQuality(scores=["psnr"], colour=quality.colour, border=0, perceptual=None)
    with Bar("Choosing strengths", total=total, unit="pictures") as bar:
        for done, pair in enumerate(_pairs(batches, mean, pause), start=1):
            pixels += pair.target.shape[1] * pair.target.shape[2]
            for name in names:
                for strength in BASELINES[name].grid if len(BASELINES[name].grid) > 1 else ():
                    made = BASELINES[name].apply(pair.centre, strength)
                    found = psnr(made, pair.centre.target)["psnr"]
                    errors[name].setdefault(strength, []).append(found)
            bar.update(done)
    for name in names:
        means = {strength: statistics.fmean(values) for strength, values in errors[name].items()}
        best[name] = max(means, key=means.__getitem__, default=BASELINES[name].grid[0])
    names = _without_slow(names, pixels / 1e6, slow_megapixels)
    values: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    number = 0
    with Bar("Baselines", total=total, unit="pictures") as bar:
        for pair in _pairs(batches, mean, pause):
            number += 1
            for name in names:
                made = BASELINES[name].apply(pair, best[name])
                for score, value in quality(made, pair.target).items():
                    values[name].setdefault(score, []).append(value)
            bar.update(number)
    return Baselines(
        {n: {s: statistics.fmean(v) for s, v in each.items()} for n, each in values.items()},
        {name: _fact(BASELINES[name], best[name]) for name in names},
        number,
    )


def _pairs(
    batches: Callable[[], Iterable[Batch]],
    mean: Tensor | None,
    pause: Callable[[], None] | None,
) -> Iterable[Pair]:
    for batch in batches():
        if pause is not None:
            pause()
        yield from (pair._replace(mean=mean) for pair in pairs_of(batch))


def _without_slow(names: Sequence[str], size: float, limit: float) -> list[str]:
    slow = [name for name in names if BASELINES[name].is_slow]
    if not slow or size <= limit:
        return list(names)
    log.warning(
        "Baselines left out, since they are slow: %s. The pictures have %.0f megapixels;\n"
        "metrics.slow_megapixels=%g is the limit.",
        ", ".join(slow), size, limit,
    )  # fmt: skip
    return [name for name in names if name not in slow]


def _fact(baseline: Baseline, strength: float) -> str:
    if not baseline.strength:
        return ""
    grid = ", ".join(f"{value:g}" for value in baseline.grid)
    return f"{baseline.strength} {strength:g} (best of {grid})"


def _common_size(data: PicturePairs, split: str) -> tuple[int, int] | None:
    """Return the height and width of all training pictures and of a split, if all agree."""
    sizes = set()
    for name in ("train", split):
        store, indices = data.pictures(name)
        found = getattr(store, "sizes", None)
        if found is None or not len(indices):
            return None
        sizes |= {tuple(size) for size in torch.as_tensor(found)[indices].unique(dim=0).tolist()}
    return sizes.pop() if len(sizes) == 1 else None


def _mean_target(data: PicturePairs, size: tuple[int, int]) -> Tensor:
    """Return the mean (C, H, W) in [-1, 1] of the training targets, of one size.

    Height and width are cut to multiples of the scale, like the scored pictures.
    """
    store, indices = data.pictures("train")
    height, width = (side - side % data.scale for side in size)
    total = sum(to_float(store.picture(i).cpu()).double() for i in indices.tolist())
    return (total / len(indices)).float()[:, :height, :width]


def _hash(indices: Tensor) -> str:
    return hashlib.sha256(indices.numpy().tobytes()).hexdigest()


def _kinds(protocol: Mapping[str, Any]) -> list[str]:
    """Return the kinds of the degradations in the protocol of data."""
    made = protocol.get("degradation") or {}
    return [part.get("kind", name) for name, part in made.items() if isinstance(part, Mapping)]
