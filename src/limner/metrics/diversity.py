"""Distances between generated and real images in colour, texture and shape.

Each image becomes three small vectors of features. Generated and real images are compared in each
entry of a vector by the 1-Wasserstein distance between the entry's two distributions over images,

    W1(p, q) = integral |P(t) - Q(t)| dt      with the distribution functions P and Q,

and the distances of the entries are summed as described below. All three sums are 0 for equal sets
of images. They grow when the typical images differ, and when generated images vary less (or more)
than real images.

`colour`   The shares of pixels at or below each of the 256 grey levels, for each channel. Summed
           over levels, mean over channels: in grey levels, 0 to 255. For single images this is
           the W1 between their histograms; adding g to every pixel gives a distance of g.
`texture`  The histogram of uniform rotation-invariant local binary patterns (8 neighbours at
           radius 1: 10 patterns) of the luminance; Ojala et al. (2002), section 2,
           https://doi.org/10.1109/TPAMI.2002.1017623. `texture` is half the sum:
           the share of pixels, 0 to 1, that have another pattern.
`shape`    The histogram of 9 unsigned gradient orientations in each of 4x4 cells, weighted by the
           gradients' strength. It sums to 1 over the image (to 0 for a flat image); Dalal and
           Triggs (2005), section 6, https://doi.org/10.1109/CVPR.2005.177. `shape` is half
           the sum: the share of gradient, 0 to 1, at another place or angle.

Entries are compared one by one, so differences that only a combination of entries shows are
missed. Two finite sets from the same distribution have distances above 0. To see which distances
count as equal, compare two random halves of the real images.
"""

__all__ = ["NamedFeatures", "named_distances", "named_features"]

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.stats import wasserstein_distance
from skimage.feature import hog, local_binary_pattern
from torch import Tensor

from limner.errors import UserError

NEIGHBOURS, RADIUS = 8, 1
CELLS, ORIENTATIONS = 4, 9
LUMINANCE = np.array([299, 587, 114])  # ITU-R BT.601, in thousandths


class NamedFeatures(NamedTuple):
    """Colour, texture and shape features of N images, as shares of pixels or of gradient."""

    colour: np.ndarray
    """(N, C, 255): share of pixels at or below each level but the last, whose share is 1."""
    texture: np.ndarray
    """(N, 10): share of pixels with each pattern."""
    shape: np.ndarray
    """(N, 144): share of gradient in each cell and orientation."""


def named_features(batches: Iterable[Tensor]) -> NamedFeatures:
    """Return the features of uint8 images (B, C, H, W), C in (1, 3), H and W at least 4.

    An image of 32x32 takes about 0.3 ms. Rows and columns that do not fill a cell are left out of
    `shape`.
    """
    found = [
        (_colour(image), _texture(grey), _shape(grey))
        for batch in batches
        for image in batch.cpu().numpy()
        for grey in [_luminance(image)]
    ]
    if not found:
        raise UserError("Colour, texture and shape need one image or more, and there are none.")
    return NamedFeatures(*(np.stack(parts) for parts in zip(*found, strict=True)))


def named_distances(generated: NamedFeatures, real: NamedFeatures) -> dict[str, float]:
    """Return `colour` in grey levels, and `texture` and `shape` in [0, 1]; smaller is better.

    Raises:
        UserError: If the two sets differ in their number of channels.
    """
    channels = generated.colour.shape[1], real.colour.shape[1]
    if channels[0] != channels[1]:
        raise UserError(
            f"Colour needs the same number of channels in both sets: these have {channels[0]}, "
            f"the real images {channels[1]}."
        )
    colours = (x.colour.reshape(len(x.colour), -1) for x in (generated, real))
    return {
        "colour": _sum(*colours) / channels[0],
        "texture": _sum(generated.texture, real.texture) / 2,
        "shape": _sum(generated.shape, real.shape) / 2,
    }


def _luminance(image: np.ndarray) -> np.ndarray:
    """Return the luminance (H, W) as integers.

    With integers, equal neighbours stay equal if a constant is added to a channel.
    """
    if image.shape[0] not in (1, 3) or min(image.shape[1:]) < CELLS:
        raise UserError(
            "Colour, texture and shape need images of 1 or 3 channels and at least "
            f"{CELLS}x{CELLS} pixels; these are {'x'.join(map(str, image.shape))}."
        )
    weights = LUMINANCE if len(image) == 3 else LUMINANCE.sum(keepdims=True)
    return np.tensordot(weights, image.astype(np.int64), 1)


def _colour(image: np.ndarray) -> np.ndarray:
    counts = np.stack([np.bincount(channel.ravel(), minlength=256) for channel in image])
    return counts.cumsum(1)[:, :-1] / image[0].size


def _texture(grey: np.ndarray) -> np.ndarray:
    patterns = local_binary_pattern(grey, NEIGHBOURS, RADIUS, method="uniform")
    counts = np.bincount(patterns.astype(np.int64).ravel(), minlength=NEIGHBOURS + 2)
    return counts / grey.size


def _shape(grey: np.ndarray) -> np.ndarray:
    """Return the gradient histogram; a single block makes it normalised over the image."""
    height, width = (size // CELLS for size in grey.shape)
    return hog(
        grey[: height * CELLS, : width * CELLS] / 255000,
        orientations=ORIENTATIONS,
        pixels_per_cell=(height, width),
        cells_per_block=(CELLS, CELLS),
        block_norm="L1",
    )


def _sum(a: np.ndarray, b: np.ndarray) -> float:
    """Return the sum of the 1-Wasserstein distances between the columns of (N, D) and (M, D)."""
    return float(sum(wasserstein_distance(x, y) for x, y in zip(a.T, b.T, strict=True)))
