"""What needs no training, on the inputs of a model that changes pictures: baselines of its scores.

    input       the input itself; for super-resolution enlarged by copies of pixels
    bicubic     MATLAB's bicubic enlargement, for super-resolution only
    blur        a Gaussian blur of the input
    median      the median of a square of pixels
    unsharp     unsharp masking, which sharpens
    nl_means    non-local means, which removes noise; Buades et al. (2005)
    biharmonic  biharmonic inpainting of the holes, for inputs with a mask only
    pull_push   a smooth fill of the holes; Gortler et al. (1996)
    gamma       a brighter picture x^gamma, for low light only

Most are functions of scikit-image. A baseline with a strength has the strength with the
largest mean PSNR over the pictures, so it is the best of its kind. For this choice only the centre
of each picture counts. The strength is part of the baseline's facts.
"""

__all__ = [
    "BASELINES", "Baseline", "Baselines", "Pair", "baseline_scores", "bicubic", "enlarged",
    "fitting", "pairs_of",
]  # fmt: skip

import logging
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from limner.augmentations.filling import pull_push
from limner.augmentations.resampling import matlab_resize
from limner.errors import UserError
from limner.interfaces import Batch
from limner.metrics.picture_quality import PictureQuality

log = logging.getLogger(__name__)

CENTRE = 128  # pixels; height and width of the centres by which strengths are chosen


class Pair(NamedTuple):
    """One picture that a model changes."""

    input: Tensor
    """Input (C, H / f, W / f); noise may leave [-1, 1]."""
    mask: Tensor | None
    """Mask (1, H / f, W / f), 1 where a pixel is known; None without holes."""
    target: Tensor
    """Target (C, H, W) in [-1, 1]."""

    @property
    def scale(self) -> int:
        """Height of the target divided by the height of the input."""
        return self.target.shape[1] // self.input.shape[1]

    @property
    def centre(self) -> "Pair":
        """The centre of the picture, of at most 128 x 128 pixels of the target."""
        f, (height, width) = self.scale, self.input.shape[1:]
        side = max(1, CENTRE // f)
        y, x = max(0, (height - side) // 2), max(0, (width - side) // 2)
        inside = np.s_[:, y : y + side, x : x + side]
        whole = np.s_[:, f * y : f * (y + side), f * x : f * (x + side)]
        mask = None if self.mask is None else self.mask[inside]
        return Pair(self.input[inside], mask, self.target[whole])


class Baseline(NamedTuple):
    """A way to make a picture of an input without training."""

    apply: Callable[[Pair, float], Tensor]
    """Function from a pair, whose target it does not read, and a strength to (C, H, W)."""
    strength: str = ""
    """Name of the strength; empty if there is none."""
    grid: Sequence[float] = (0.0,)
    """Strengths to choose from."""
    is_slow: bool = False
    """Whether it takes seconds for a large picture."""
    fits: Callable[[int, Sequence[str]], bool] = lambda scale, kinds: True
    """Whether it fits a scale and the kinds of degradations."""


class Baselines(NamedTuple):
    """Scores of the baselines of one set of pictures."""

    values: dict[str, dict[str, float]]
    """Mean of each score over the pictures, by baseline and score."""
    facts: dict[str, str]
    """Strength of each baseline, such as "sigma 1 (best of 0.5, 1, 2)"; empty without one."""
    num_pictures: int


def fitting(names: Sequence[str], *, scale: int, kinds: Sequence[str]) -> list[str]:
    """Return the baselines that fit a task.

    Args:
        names: Names out of `BASELINES`.
        scale: Height of a target divided by the height of its input.
        kinds: Kinds of the degradations, such as "holes".

    Raises:
        UserError: If a name is unknown.
    """
    for name in names:
        if name not in BASELINES:
            raise UserError(f"metrics.baselines: {name}: choose from {', '.join(BASELINES)}.")
    return [name for name in names if BASELINES[name].fits(scale, kinds)]


def baseline_scores(
    batches: Callable[[], Iterable[Batch]],
    names: Sequence[str],
    quality: PictureQuality,
    *,
    slow_megapixels: float,
    pause: Callable[[], None] | None = None,
) -> Baselines:
    """Return the scores of baselines.

    Args:
        batches: Function that returns the batches of whole pictures, the same at each call.
        names: Names out of `BASELINES` that fit the task.
        quality: Scores of a picture.
        slow_megapixels: Number of megapixels of all targets together above which slow baselines
            are left out, with a warning.
        pause: Function called before each picture; it may raise to stop.
    """
    pixels, best = 0, {}
    errors: dict[str, dict[float, list[float]]] = {name: {} for name in names}
    psnr = PictureQuality(scores=["psnr"], colour=quality.colour, border=0, perceptual=None)
    for pair in _pairs(batches, pause):
        pixels += pair.target.shape[1] * pair.target.shape[2]
        for name in names:
            for strength in BASELINES[name].grid if len(BASELINES[name].grid) > 1 else ():
                made = BASELINES[name].apply(pair.centre, strength)
                found = psnr(made, pair.centre.target)["psnr"]
                errors[name].setdefault(strength, []).append(found)
    for name in names:
        means = {strength: statistics.fmean(values) for strength, values in errors[name].items()}
        best[name] = max(means, key=means.__getitem__, default=BASELINES[name].grid[0])
    names = _without_slow(names, pixels / 1e6, slow_megapixels)
    values: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    number = 0
    for pair in _pairs(batches, pause):
        number += 1
        for name in names:
            made = BASELINES[name].apply(pair, best[name])
            for score, value in quality(made, pair.target).items():
                values[name].setdefault(score, []).append(value)
    return Baselines(
        {n: {s: statistics.fmean(v) for s, v in each.items()} for n, each in values.items()},
        {name: _fact(BASELINES[name], best[name]) for name in names},
        number,
    )


def pairs_of(batch: Batch) -> Iterable[Pair]:
    """Yield each picture of a batch, without repeated pictures, whose weight is 0."""
    masks, weights = batch.get("mask"), batch.get("weight")
    for i, target in enumerate(batch["image"]):
        if weights is None or weights[i] > 0:
            yield Pair(batch["input"][i], None if masks is None else masks[i], target)


def bicubic(pair: Pair) -> Tensor:
    """Return the bicubic enlargement (C, H, W) of the input of a pair."""
    return matlab_resize(pair.input[None], factor=pair.scale)[0]


def enlarged(pair: Pair) -> Tensor:
    """Return the input (C, H, W) of a pair, enlarged by copies of pixels to the target's size."""
    if pair.scale == 1:
        return pair.input
    return interpolate(pair.input[None], scale_factor=pair.scale, mode="nearest")[0]


def _pairs(
    batches: Callable[[], Iterable[Batch]], pause: Callable[[], None] | None
) -> Iterable[Pair]:
    for batch in batches():
        if pause is not None:
            pause()
        yield from pairs_of(batch)


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


def _on_arrays(
    function: Callable[[np.ndarray, float], np.ndarray],
) -> Callable[[Pair, float], Tensor]:
    """Return a baseline of a function of arrays (H, W, C), whose colours are from 0 to 1."""

    def apply(pair: Pair, strength: float) -> Tensor:
        pixels = (enlarged(pair).float().permute(1, 2, 0).cpu().numpy() + 1) / 2
        made = torch.from_numpy(np.ascontiguousarray(function(pixels, strength)))
        return (made.float().permute(2, 0, 1) * 2 - 1).to(pair.target.device)

    return apply


def _blurred(pixels: np.ndarray, sigma: float) -> np.ndarray:
    from skimage import filters

    return filters.gaussian(pixels, sigma, channel_axis=-1, mode="mirror", preserve_range=True)


def _median(pixels: np.ndarray, side: float) -> np.ndarray:
    from skimage import filters

    return filters.median(pixels, np.ones((int(side), int(side), 1)), mode="mirror")


def _unsharp(pixels: np.ndarray, amount: float) -> np.ndarray:
    from skimage import filters

    # channel_axis=-1 would sharpen three rows and leave the others uninitialised in scikit-image
    # 0.26 (test_unsharp_masking_adds_the_difference_from_the_blurred_picture).
    return filters.unsharp_mask(
        pixels, radius=1.5, amount=amount, channel_axis=2, preserve_range=True
    )


def _nl_means(pixels: np.ndarray, level: float) -> np.ndarray:
    from skimage import restoration

    return restoration.denoise_nl_means(
        pixels, patch_size=5, patch_distance=6, h=level / 255, channel_axis=-1
    )


def _gamma(pixels: np.ndarray, gamma: float) -> np.ndarray:
    from skimage import exposure

    return exposure.adjust_gamma(pixels.clip(0, 1), gamma)


def _biharmonic(pair: Pair, _: float) -> Tensor:
    from skimage.restoration import inpaint_biharmonic

    holes = pair.mask[0].cpu().numpy() < 0.5

    def filled(pixels: np.ndarray, _: float) -> np.ndarray:
        return inpaint_biharmonic(pixels, holes, channel_axis=-1, split_into_regions=True)

    return _on_arrays(filled)(pair, 0.0) if holes.any() else pair.input


def _restores(scale: int, kinds: Sequence[str]) -> bool:
    return scale == 1


BASELINES: Mapping[str, Baseline] = {
    "input": Baseline(lambda pair, _: enlarged(pair)),
    "bicubic": Baseline(lambda pair, _: bicubic(pair), fits=lambda scale, kinds: scale > 1),
    "blur": Baseline(_on_arrays(_blurred), "sigma", (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)),
    "median": Baseline(_on_arrays(_median), "size", (3, 5), fits=_restores),
    "unsharp": Baseline(
        _on_arrays(_unsharp), "amount", (0.25, 0.5, 1.0, 2.0, 4.0), fits=_restores
    ),
    "nl_means": Baseline(
        _on_arrays(_nl_means), "h", (5, 10, 15, 20, 30, 40), is_slow=True, fits=_restores
    ),
    "biharmonic": Baseline(
        _biharmonic, is_slow=True, fits=lambda scale, kinds: scale == 1 and "holes" in kinds
    ),
    "pull_push": Baseline(
        lambda pair, _: pull_push(pair.input[None], pair.mask[None] > 0.5)[0],
        fits=lambda scale, kinds: scale == 1 and "holes" in kinds,
    ),
    "gamma": Baseline(
        _on_arrays(_gamma), "gamma", (0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
        fits=lambda scale, kinds: scale == 1 and "low light" in kinds,
    ),
}  # fmt: skip
"""Name of a baseline -> the baseline."""
