"""Quality of a picture that a model makes from another picture: PSNR, SSIM, MAE, perceptual.

Both pictures are first rounded to 8 bits, as when they are saved. Then a border is cut, and for
`colour="y"` only the luminance is compared,

    Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255   for R, G, B from 0 to 255,

which is the first channel of MATLAB's rgb2ycbcr (ITU-R BT.601), without a second rounding. Papers
on super-resolution report the Y channel without a border as wide as the scale. Values of Y and of
RGB, or of two borders, cannot be compared: PSNR is about 1.3 dB larger on Y.
"""

__all__ = ["SCORES", "PictureQuality", "luminance"]

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from limner.errors import UserError
from limner.losses.perceptual import PerceptualDistance
from limner.metrics.image_similarity import SSIM_WINDOW, psnr, ssim
from limner.pixels import to_float, to_uint8

SCORES = ("psnr", "ssim", "mae", "perceptual")
"""Names of the scores. A large `psnr` and `ssim` are good, a small `mae` and `perceptual`."""
LARGEST_PSNR = 100.0
"""PSNR in dB of two equal pictures, whose error is 0, so that a mean over pictures is finite."""
UNITS = {"psnr": "dB", "ssim": "at most 1", "mae": "levels of 0 to 255", "perceptual": "0 to 4"}


class PictureQuality:
    """Scores of one picture against its target; pictures may have any size.

    Args:
        scores: Names out of `SCORES`. `mae` is the mean absolute error in levels of 0 to 255.
            `perceptual` always compares all colours.
        colour: "y" for the luminance, "rgb" for all channels. Pictures with a number of channels
            other than 3 are compared in all channels.
        border: Number of pixels cut at each side, at least 0.
        perceptual: Distance of the score `perceptual`; None if it is not asked for.

    Raises:
        UserError: If a name is unknown, or a value is out of its range.
    """

    def __init__(
        self,
        *,
        scores: Sequence[str],
        colour: Literal["y", "rgb"],
        border: int,
        perceptual: PerceptualDistance | None,
    ) -> None:
        for name in scores:
            if name not in SCORES:
                raise UserError(f"metrics.scores: {name}: choose from {', '.join(SCORES)}.")
        if colour not in ("y", "rgb"):
            raise UserError(f"metrics.colour={colour}: choose y, rgb or auto.")
        if border < 0:
            raise UserError(f"metrics.border={border}: must be 0 or more (pixels), or auto.")
        if "perceptual" in scores and perceptual is None:
            raise UserError("metrics.scores: perceptual needs metrics.perceptual, which is null.")
        self.scores, self.colour, self.border = list(scores), colour, border
        self.perceptual = perceptual if "perceptual" in scores else None

    def prepare(self) -> None:
        """Load the weights of the perceptual distance.

        Raises:
            UserError: If they are not installed.
        """
        if self.perceptual is None:
            return
        try:
            self.perceptual.load()
        except ValueError as error:
            raise UserError(f"metrics.scores: perceptual: {error}") from error

    def __call__(self, output: Tensor, target: Tensor) -> dict[str, float]:
        """Return the scores of a picture.

        Args:
            output: Picture (C, H, W) in [-1, 1]; other values are clamped.
            target: Picture of the same shape and range.

        Raises:
            UserError: If the picture is too small for its border or for SSIM's window.
        """
        output, target = (to_uint8(x)[None] for x in (output, target))
        self._refuse_small(target)
        edge = slice(self.border, -self.border or None)
        output, target = (x[..., edge, edge] for x in (output, target))
        pair = (output, target)
        if self.colour == "y" and target.shape[1] == 3:
            pair = (luminance(output), luminance(target))
        return {name: self._score(name, *pair, output, target) for name in self.scores}

    def protocol(self, name: str) -> dict[str, Any]:
        """Return the facts that comparisons of a score need, as plain data."""
        facts = {"unit": UNITS[name], "border": self.border, "rounding": "8 bits"}
        if name == "perceptual":
            return facts | {
                "colour": "rgb",
                "network": "EfficientNet-lite0 (ImageNet)",
                "weights_sha256": self.perceptual.weights_sha256,
                "stage_weights": self.perceptual.stage_weights,
                "min_size": self.perceptual.min_size,
            }
        facts["colour"] = "y of BT.601" if self.colour == "y" else "rgb"
        if name == "psnr":
            facts["equal_pictures"] = f"{LARGEST_PSNR:g} dB"
        if name == "ssim":
            facts["window"] = "Gaussian 11x11, sigma 1.5, wholly inside"
        return facts

    def _score(
        self, name: str, shown: Tensor, truth: Tensor, output: Tensor, target: Tensor
    ) -> float:
        """Return one score of the compared channels, or of the pictures in all channels."""
        if name == "psnr":
            return min(psnr(shown, truth).item(), LARGEST_PSNR)
        if name == "ssim":
            return ssim(shown, truth, whole_windows=True).item()
        if name == "mae":
            levels = [
                127.5 * (to_float(x) if x.dtype == torch.uint8 else x) for x in (shown, truth)
            ]
            return (levels[0] - levels[1]).abs().mean().item()
        with torch.no_grad():
            return self.perceptual(to_float(output), to_float(target)).item()

    def _refuse_small(self, pictures: Tensor) -> None:
        height, width = pictures.shape[2:]
        needed = 2 * self.border + (SSIM_WINDOW if "ssim" in self.scores else 1)
        if min(height, width) < needed:
            window = " and SSIM's window of 11" if "ssim" in self.scores else ""
            raise UserError(
                f"A picture of {height}x{width} pixels is too small to score: metrics.border="
                f"{self.border}{window}\nneed {needed} pixels. Choose metrics.border=0, or "
                "metrics.scores=[psnr,mae]."
            )


def luminance(images: Tensor) -> Tensor:
    """Return the luminance Y of uint8 RGB images (B, 3, H, W) as floats (B, 1, H, W).

    Levels 0 to 255 are mapped to [-1, 1], so Y from 16 to 235 becomes -0.87 to 0.84.
    """
    weights = torch.tensor([65.481, 128.553, 24.966], device=images.device) / 255
    levels = 16 + (images.float() * weights[:, None, None]).sum(1, keepdim=True)
    return levels / 127.5 - 1
