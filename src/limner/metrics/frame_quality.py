"""Quality of predicted frames, one value for each step ahead.

Values are compared on the scale [0, 1], clamped but not rounded. With d the difference of a value,

    squared_error    sum of d^2 over the pixels and channels of a frame
    absolute_error   sum of |d| over the pixels and channels of a frame
    ssim             structural similarity, at most 1
    psnr             -10 log10(mean d^2) in dB

The sums over a frame are what papers on Moving MNIST call MSE and MAE; Srivastava et al. (2015),
https://arxiv.org/abs/1502.04681. A sum depends on the size of the frames.
"""

__all__ = ["BASELINES", "SCORES", "FrameQuality", "FrameTally"]

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from limner.errors import UserError
from limner.metrics.image_similarity import SSIM_WINDOW, ssim

SCORES = ("squared_error", "absolute_error", "ssim", "psnr")
"""Names of the scores. A small error is good, and a large `ssim` and `psnr`."""
BASELINES = ("last", "mean", "black")
"""Names of the baselines: repeat the last input frame; the mean frame of the training sequences;
a black frame."""
LARGEST_PSNR = 100.0
"""PSNR in dB of two equal frames, whose error is 0, so that a mean over frames is finite."""
UNITS = {
    "squared_error": "sum over a frame of values of 0 to 1",
    "absolute_error": "sum over a frame of values of 0 to 1",
    "ssim": "at most 1",
    "psnr": "dB",
}


class FrameQuality:
    """Scores of predicted frames.

    Args:
        scores: Names out of `SCORES`.

    Raises:
        UserError: If a name is unknown, or there is none.
    """

    def __init__(self, *, scores: Sequence[str]) -> None:
        for name in scores:
            if name not in SCORES:
                raise UserError(f"metrics.scores: {name}: choose from {', '.join(SCORES)}.")
        if not scores:
            raise UserError(f"metrics.scores is empty: choose from {', '.join(SCORES)}.")
        self.scores = list(scores)

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the scores of each frame, float64 (B, num_scores, T), on the CPU.

        Args:
            output: Frames (B, T, C, H, W) in [-1, 1]; other values are clamped.
            target: Frames of the same shape and range.

        Raises:
            UserError: If the frames are too small for the window of SSIM.
        """
        pairs = [((x.float().clamp(-1, 1) + 1) / 2).flatten(0, 1) for x in (output, target)]
        self._refuse_small(target)
        found = torch.stack([_VALUES[name](*pairs) for name in self.scores])
        return found.double().cpu().unflatten(1, target.shape[:2]).transpose(0, 1)

    def protocol(self, name: str) -> dict[str, Any]:
        """Return the facts that comparisons of a score need, as plain data."""
        facts = {"unit": UNITS[name], "rounding": "none"}
        if name == "psnr":
            facts["equal_frames"] = f"{LARGEST_PSNR:g} dB"
        if name == "ssim":
            facts["window"] = "Gaussian 11x11, sigma 1.5, wholly inside"
        return facts

    def _refuse_small(self, frames: Tensor) -> None:
        height, width = frames.shape[3:]
        if "ssim" in self.scores and min(height, width) < SSIM_WINDOW:
            raise UserError(
                f"Frames of {height}x{width} pixels are too small for SSIM's window of "
                f"{SSIM_WINDOW} pixels:\nchoose metrics.scores=[squared_error,psnr]."
            )


class FrameTally:
    """Means of the scores over sequences, for each step ahead, of a model and of baselines.

    Args:
        quality: Scores of a frame.
        names: Names of what is scored, such as "model" and "last".
        num_steps: Number of predicted frames.
    """

    def __init__(self, quality: FrameQuality, names: Sequence[str], num_steps: int) -> None:
        self.quality, self.names = quality, list(names)
        size = len(self.names) * len(quality.scores) * num_steps
        self.num_steps = num_steps
        self.sums = torch.zeros(1 + size, dtype=torch.float64)
        """Number of sequences, and the sums of all scores."""

    def add(self, predicted: Mapping[str, Tensor], target: Tensor, weight: Tensor | None) -> None:
        """Add the predictions of a batch; a sequence of weight 0 does not count.

        Args:
            predicted: Frames (B, T, C, H, W) in [-1, 1] by name.
            target: True frames of this shape.
            weight: Weights (B,), 1 or 0; None for 1.
        """
        weight = torch.ones(len(target)) if weight is None else weight
        weight = weight.double().cpu()
        found = [self.quality(predicted[name].expand_as(target), target) for name in self.names]
        sums = torch.stack(found, 1).mul(weight[:, None, None, None]).sum(0)
        self.sums += torch.cat([weight.sum()[None], sums.flatten()])

    def steps(self) -> dict[str, dict[str, list[float]]]:
        """Return {name: {score: its mean at each step}}; {} without sequences."""
        number, sums = self.sums[0], self.sums[1:]
        if not number:
            return {}
        shape = len(self.names), len(self.quality.scores), self.num_steps
        means = (sums / number).view(shape)
        return {
            name: dict(zip(self.quality.scores, each.tolist(), strict=True))
            for name, each in zip(self.names, means, strict=True)
        }


def _squared_error(output: Tensor, target: Tensor) -> Tensor:
    return (output - target).square().flatten(1).sum(1, dtype=torch.float64)


def _absolute_error(output: Tensor, target: Tensor) -> Tensor:
    return (output - target).abs().flatten(1).sum(1, dtype=torch.float64)


def _psnr(output: Tensor, target: Tensor) -> Tensor:
    errors = (output - target).square().flatten(1).mean(1, dtype=torch.float64)
    return (-10 * torch.log10(errors)).clamp(max=LARGEST_PSNR)


def _ssim(output: Tensor, target: Tensor) -> Tensor:
    return ssim(2 * output - 1, 2 * target - 1, whole_windows=True).double()


_VALUES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared_error": _squared_error,
    "absolute_error": _absolute_error,
    "ssim": _ssim,
    "psnr": _psnr,
}
