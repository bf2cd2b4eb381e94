"""Similarity of two images: PSNR, SSIM, MS-SSIM and LPIPS, one value per pair.

Images are uint8 in [0, 255] or floats in [-1, 1]. Both are scaled to [0, 1], so that the data
range is 1, and the two types differ only by the rounding to uint8. All channels have equal weight.
For a score of the luminance, pass images with the luminance as their only channel.
"""

__all__ = ["LPIPS", "PairScores", "ms_ssim", "pair_scores", "psnr", "random_pairs", "ssim"]

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple
from urllib.error import URLError

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from limner.errors import UserError
from limner.randomness import seed_for

SSIM_WINDOW = 11  # pixels
SMALLEST_SSIM, SMALLEST_MS_SSIM = 6, 176  # pixels; torchmetrics pads by 5 and halves 4 times
SMALLEST_LPIPS = {"alex": 31, "vgg": 16, "squeeze": 17}


class PairScores(NamedTuple):
    """Scores of a set of image pairs."""

    mean: dict[str, float]
    """Mean of each score over the pairs; the mean of `psnr` leaves out identical pairs."""
    std: dict[str, float]
    """Standard deviation of each score over the same pairs."""
    num_pairs: int
    num_identical: int
    """Number of pairs of equal images, whose PSNR is infinite."""
    left_out: dict[str, str]
    """Name of each score that was not computed, and the reason."""


def psnr(images: Tensor, others: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio in decibels, (B,); infinite for equal images.

    -10 log10(mean squared error on the scale [0, 1])
    """
    errors = (_unit(images) - _unit(others)).square().flatten(1).mean(1)
    return -10 * torch.log10(errors)


def ssim(images: Tensor, others: Tensor, *, whole_windows: bool = False) -> Tensor:
    """Return the structural similarity in [-1, 1], (B,).

    (2 m m' + c1) (2 s_xy + c2) / ((m^2 + m'^2 + c1) (s^2 + s'^2 + c2)),  c1 = .01^2, c2 = .03^2

    The value is averaged over places and channels. Means, variances and covariance are taken under
    an 11x11 Gaussian window of standard deviation 1.5; Wang et al. (2004), equation 13,
    https://doi.org/10.1109/TIP.2003.819861. As in torchmetrics, images are reflected at their
    edges.

    Args:
        images: Images (B, C, H, W).
        others: Images of the same shape.
        whole_windows: Whether to leave out the places whose window is not fully inside the image,
            as the authors do. Images then need 11 pixels or more in height and width.
    """
    pair = _unit(images), _unit(others)
    options = {"data_range": 1.0, "reduction": "none"}
    if not whole_windows:
        return structural_similarity_index_measure(*pair, **options)
    _, places = structural_similarity_index_measure(*pair, **options, return_full_image=True)
    edge = SSIM_WINDOW // 2
    return places[..., edge:-edge, edge:-edge].flatten(1).mean(1)


def ms_ssim(images: Tensor, others: Tensor) -> Tensor:
    """Return the multi-scale structural similarity in [0, 1], (B,); needs 176 pixels or more.

    l_5^.1333 cs_1^.0448 cs_2^.2856 cs_3^.3001 cs_4^.2363 cs_5^.1333 of five scales. Each scale has
    half the resolution of the previous scale, and negative terms count as 0; Wang et al. (2003),
    equation 7, https://doi.org/10.1109/ACSSC.2003.1292216.
    """
    return multiscale_structural_similarity_index_measure(
        _unit(images), _unit(others), data_range=1.0, reduction="none", normalize="relu"
    )


class LPIPS:
    """Learned perceptual distance, at least 0; Zhang et al. (2018), equation 1.

    https://arxiv.org/abs/1801.03924, with version 0.1 of the authors' weights. The channel of grey
    images is repeated three times.

    Args:
        network: Network whose features are compared; most papers use "alex" for scores.

    Raises:
        UserError: If the network's weights are neither on disk nor can be downloaded.
    """

    def __init__(self, *, network: Literal["alex", "vgg", "squeeze"]) -> None:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        self.network = network
        try:
            self._metric = LearnedPerceptualImagePatchSimilarity(network, reduction="none")
        except (URLError, OSError) as error:
            raise UserError(
                f"LPIPS needs the weights of torchvision's {network}, and they could not be "
                f"downloaded ({error}).\n"
                f"Fetch them on a machine with a network (torchvision.models.{_FULL[network]}"
                f'(weights="DEFAULT") does) and copy them to {torch.hub.get_dir()}/checkpoints,\n'
                "or leave lpips out of the scores."
            ) from error

    def __call__(self, images: Tensor, others: Tensor) -> Tensor:
        """Return the distances (B,) between images (B, 1 or 3, H, W)."""
        pair = (2 * _unit(x).expand(-1, 3, -1, -1) - 1 for x in (images, others))
        with torch.no_grad():
            return self._metric.to(images.device).net(*pair).flatten()


def pair_scores(
    pairs: Iterable[tuple[Tensor, Tensor]], *, lpips: LPIPS | None = None
) -> PairScores:
    """Return the means of `psnr`, `ssim`, `ms_ssim` and, if given, `lpips` over all pairs.

    Args:
        pairs: Batches of two image tensors (B, C, H, W); only one batch is in memory at a time.
        lpips: Distance to include, or None to leave LPIPS out.
    """
    functions = {"psnr": psnr, "ssim": ssim, "ms_ssim": ms_ssim}
    functions |= {} if lpips is None else {"lpips": lpips}
    values: dict[str, list[Tensor]] = {}
    left_out: dict[str, str] = {}
    for images, others in pairs:
        if not values:
            left_out = _too_small(images, lpips)
            values = {name: [] for name in functions if name not in left_out}
        for name in values:
            values[name].append(functions[name](images, others).cpu().double())
    joined = {name: torch.cat(parts) for name, parts in values.items()}
    num_pairs = len(joined["psnr"]) if joined else 0
    differ = joined["psnr"].isfinite() if joined else torch.zeros(0, dtype=torch.bool)
    if "psnr" in joined:
        joined["psnr"] = joined["psnr"][differ]
        if not len(joined["psnr"]):
            del joined["psnr"]
            left_out["psnr"] = "infinite: the images of every pair are equal"
    return PairScores(
        {name: value.mean().item() for name, value in joined.items()},
        {name: value.std(correction=0).item() for name, value in joined.items()},
        num_pairs,
        num_pairs - int(differ.sum()),
        left_out,
    )


def random_pairs(num_images: int, *, num_pairs: int, seed: int) -> Tensor:
    """Return indices (P, 2) of P pairs of different images; all pairs if there are fewer.

    `pair_scores` of such pairs of samples measures how similar the samples are. Its SSIM is 1 for
    a model that always draws the same image. Compare with the value for pairs of real images;
    Odena et al. (2017), section 4.2, https://arxiv.org/abs/1610.09585.

    Args:
        num_images: Number of images.
        num_pairs: Number P of pairs.
        seed: Seed of the choice of pairs.
    """
    total = num_images * (num_images - 1) // 2
    random = np.random.default_rng(seed_for(seed, "pairs"))
    chosen = random.choice(total, size=min(num_pairs, total), replace=False, shuffle=False)
    return torch.tensor([_pair(int(number)) for number in chosen]).reshape(-1, 2)


_FULL = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}


def _unit(images: Tensor) -> Tensor:
    """Return images as float32 on the scale [0, 1]."""
    if images.dtype == torch.uint8:
        return images.float() / 255
    return (images.float().clamp(-1, 1) + 1) / 2


def _too_small(images: Tensor, lpips: LPIPS | None) -> dict[str, str]:
    smallest = {"ssim": SMALLEST_SSIM, "ms_ssim": SMALLEST_MS_SSIM}
    if lpips is not None:
        smallest["lpips"] = SMALLEST_LPIPS[lpips.network]
    height, width = images.shape[2:]
    found = {
        name: f"needs images of {size}x{size} pixels or more, and these have {height}x{width}"
        for name, size in smallest.items()
        if min(height, width) < size
    }
    if lpips is not None and images.shape[1] not in (1, 3):
        found["lpips"] = f"needs 1 or 3 channels, and these images have {images.shape[1]}"
    return found


def _pair(number: int) -> tuple[int, int]:
    """Return pair `number` in the order (0, 1), (0, 2), (1, 2), (0, 3) ..."""
    second = (1 + math.isqrt(1 + 8 * number)) // 2
    return number - second * (second - 1) // 2, second
