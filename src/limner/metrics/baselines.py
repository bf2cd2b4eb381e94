"""Methods that need no training and change a picture: baselines of a model's scores.

    input       the input itself; for super-resolution enlarged by copies of pixels
    bicubic     MATLAB's bicubic enlargement, for super-resolution only
    blur        a Gaussian blur of the input
    median      the median of a square of pixels
    unsharp     unsharp masking, which sharpens
    nl_means    non-local means, which removes noise; Buades et al. (2005)
    biharmonic  biharmonic inpainting of the holes, for inputs with a mask only
    pull_push   a smooth fill of the holes; Gortler et al. (1996)
    gamma       a brighter picture x^gamma, for low light only
    blend       (1 - s) input + s m with the mean m of the training targets, for one size only

Blur, median, unsharp, nl_means, biharmonic and gamma are functions of scikit-image. If the target
has other channels than the input, the input is made grey, or its grey channel is repeated.
`limner.metrics.baseline_scores` chooses the best strength of each baseline.
"""

__all__ = ["BASELINES", "Baseline", "Pair", "bicubic", "enlarged", "pairs_of", "shown_input"]

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from limner.augmentations.filling import pull_push
from limner.augmentations.resampling import matlab_resize
from limner.interfaces import Batch, reference_view

GREY = (0.299, 0.587, 0.114)
"""Weights of R, G and B in a grey picture, as in ITU-R BT.601."""
CENTRE = 128  # pixels; height and width of the centres by which strengths are chosen


class Pair(NamedTuple):
    """One picture that a model changes."""

    input: Tensor
    """Input (C', H / f, W / f); noise may leave [-1, 1]."""
    mask: Tensor | None
    """Mask (1, H / f, W / f), 1 where a pixel is known; None without holes."""
    target: Tensor
    """Target (C, H, W) in [-1, 1]."""
    mean: Tensor | None = None
    """Mean target (C, H, W) of the training pictures; None if their sizes differ."""

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
        mean = None if self.mean is None else self.mean[whole]
        return Pair(self.input[inside], mask, self.target[whole], mean)


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
    needs_mean: bool = False
    """Whether it reads the mean target of the training pictures."""


def pairs_of(batch: Batch) -> Iterable[Pair]:
    """Yield each picture of a batch, without repeated pictures, whose weight is 0."""
    masks, weights = batch.get("mask"), batch.get("weight")
    for i, target in enumerate(batch["image"]):
        if weights is None or weights[i] > 0:
            yield Pair(shown_input(batch, i), None if masks is None else masks[i], target)


def shown_input(batch: Batch, i: int) -> Tensor:
    """Return the input (C', H / f, W / f) of sample i; of several views, the reference."""
    found = batch["input"][i]
    return found if found.dim() == 3 else found[reference_view(len(found))]


def bicubic(pair: Pair) -> Tensor:
    """Return the bicubic enlargement (C, H, W) of the input of a pair."""
    return matlab_resize(_in_channels(pair)[None], factor=pair.scale)[0]


def enlarged(pair: Pair) -> Tensor:
    """Return the input (C, H, W) of a pair, enlarged by copies of pixels to the target's size."""
    if pair.scale == 1:
        return _in_channels(pair)
    return interpolate(_in_channels(pair)[None], scale_factor=pair.scale, mode="nearest")[0]


def _in_channels(pair: Pair) -> Tensor:
    """Return the input (C, H / f, W / f) of a pair with as many channels as its target."""
    channels = pair.target.shape[0]
    if pair.input.shape[0] == channels:
        return pair.input
    colours = pair.input[:3]
    grey = colours[:1]
    if len(colours) == 3:
        weights = torch.tensor(GREY, device=colours.device, dtype=colours.dtype)
        grey = (weights[:, None, None] * colours).sum(0, keepdim=True)
    return grey.expand(channels, -1, -1)


def _blended(pair: Pair, share: float) -> Tensor:
    return (1 - share) * enlarged(pair) + share * pair.mean.to(pair.input)


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
    "blur": Baseline(_on_arrays(_blurred), "sigma", (0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8)),
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
    "blend": Baseline(
        _blended, "share", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0), needs_mean=True
    ),
    "gamma": Baseline(
        _on_arrays(_gamma), "gamma", (0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
        fits=lambda scale, kinds: scale == 1 and "low light" in kinds,
    ),
}  # fmt: skip
"""Name of a baseline -> the baseline."""
