"""One pass of one feature network over a set of images: all that any score wants of them."""

__all__ = ["ImagesAt", "Pause", "Statistics", "Wanted", "collect"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from limner.interfaces import FeatureExtractor
from limner.metrics.feature_buffer import KeptFeatures
from limner.metrics.frechet import Gaussian, Moments
from limner.metrics.inception_score import InceptionScore
from limner.processes import rank, world_size

ImagesAt = Callable[[int, int], Tensor]
"""(start, stop) to the images start ... stop - 1 of a set, uint8 (stop - start, C, H, W)."""
Pause = Callable[[], None]
"""Called between two chunks, equally often in every process of a group; may raise to stop."""


class Wanted(NamedTuple):
    """Which statistics to collect."""

    gaussian: bool
    max_features: int | None
    num_splits: int | None
    """Of the inception score; None for none, as above."""


@dataclass(frozen=True)
class Statistics:
    """What is left of a set of images when its pictures are gone."""

    gaussian: Gaussian | None
    features: Tensor | None
    """float32 (min(N, max_features), D), in the order of the images."""
    inception_score: tuple[float, float] | None
    """Mean and standard deviation over the parts."""

    def to(self, device: torch.device) -> "Statistics":
        """The same on a device."""
        gaussian = self.gaussian and Gaussian(*(part.to(device) for part in self.gaussian))
        features = None if self.features is None else self.features.to(device)
        return Statistics(gaussian, features, self.inception_score)


@torch.no_grad()
def collect(
    images: ImagesAt,
    num_images: int,
    *,
    network: FeatureExtractor,
    wanted: Wanted,
    batch_size: int,
    device: torch.device,
    pause: Pause | None = None,
) -> Statistics:
    """Statistics of images 0 ... num_images - 1.

    Each process of a group sees every so-many-th chunk of them, and all get the same result, which
    is that of a single process but for the order of float64 sums.

    Args:
        images: Gives a chunk of them.
        num_images: N.
        network: On `device` already.
        wanted: What to collect.
        batch_size: Images in a chunk.
        device: Where the images go, and where the sums are kept (of MPS, which has no float64:
            on the CPU).
        pause: Called between chunks; or None.
    """
    at, moments, kept, score = sums_device(device), None, None, None
    if wanted.gaussian:
        moments = Moments(num_features=network.num_features).to(at)
    if wanted.max_features is not None:
        kept = KeptFeatures(
            num_images=num_images,
            num_features=network.num_features,
            max_features=wanted.max_features,
        ).to(at)
    if wanted.num_splits is not None:
        score = InceptionScore(
            num_images=num_images, num_classes=network.num_logits, num_splits=wanted.num_splits
        ).to(at)
    starts = range(0, num_images, batch_size)
    mine = _share()
    everybodys = len(starts) // (mine.step or 1)  # some processes have one chunk more
    for i, start in enumerate(starts[mine]):
        if pause is not None and i < everybodys:
            pause()
        positions = torch.arange(start, min(start + batch_size, num_images))
        seen = network(images(start, start + len(positions)).to(device))
        if moments is not None:
            moments.update(seen.features.to(at))
        if kept is not None:
            kept.update(seen.features.to(at), positions)
        if score is not None:
            score.update(seen.logits.to(at), positions)
    return Statistics(
        gaussian=None if moments is None else moments.compute(),
        features=None if kept is None else kept.compute(),
        inception_score=None if score is None else tuple(v.item() for v in score.compute()),
    )


def sums_device(device: torch.device) -> torch.device:
    """`device`, or the CPU where it has no float64."""
    return torch.device("cpu") if device.type == "mps" else device


def _share() -> slice:
    """Return which of all the chunks this process sees."""
    return slice(rank(), None, world_size())
