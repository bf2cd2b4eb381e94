"""Statistics for all scores, from one pass of one feature network over a set of images."""

__all__ = ["ImagesAt", "Pause", "Statistics", "StatisticsRequest", "compute_statistics"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from limner.console import Bar
from limner.errors import UserError
from limner.interfaces import FeatureExtractor, Features
from limner.metrics.feature_buffer import FeatureBuffer
from limner.metrics.frechet import FeatureMoments, Moments
from limner.metrics.inception_score import InceptionScore
from limner.metrics.modes import ModeCounts
from limner.processes import rank, world_size

ImagesAt = Callable[[int, int], Tensor]
"""Function from (start, stop) to images start ... stop - 1, uint8 (stop - start, C, H, W)."""
Pause = Callable[[], None]
"""Function called between two chunks, equally often in every process of a group; may raise to
stop."""


class StatisticsRequest(NamedTuple):
    """Statistics to compute for a set of images; None leaves out a statistic."""

    gaussian: bool
    max_features: int | None
    num_splits: int | None
    """Number of parts of the inception score."""
    modes: bool = False
    """Whether to count the images of each class."""


@dataclass(frozen=True)
class Statistics:
    """Statistics of a set of images."""

    gaussian: FeatureMoments | None
    features: Tensor | None
    """float32 (min(N, max_features), D): feature vectors in the order of the images."""
    inception_score: tuple[float, float] | None
    """Mean and standard deviation over the parts of the images."""
    counts: Tensor | None = None
    """float64 (K,): number of images of each class."""

    def to(self, device: torch.device) -> "Statistics":
        """Return a copy on a device."""
        gaussian = self.gaussian and FeatureMoments(*(part.to(device) for part in self.gaussian))
        features = None if self.features is None else self.features.to(device)
        counts = None if self.counts is None else self.counts.to(device)
        return Statistics(gaussian, features, self.inception_score, counts)


@torch.no_grad()
def compute_statistics(
    images: ImagesAt,
    num_images: int,
    *,
    network: FeatureExtractor,
    request: StatisticsRequest,
    batch_size: int,
    device: torch.device,
    pause: Pause | None = None,
    unit: str = "images",
) -> Statistics:
    """Compute the statistics of images 0 ... num_images - 1.

    With W processes, each process reads every W-th chunk of images. All processes get the same
    result. It differs from the result of a single process only by the order of float64 sums.

    Args:
        images: Function that returns a chunk of the images.
        num_images: Number N of images.
        network: Feature network, already on `device`.
        request: Statistics to compute.
        batch_size: Number of images per chunk.
        device: Device of the images and of the sums. MPS has no float64, so its sums are on the
            CPU.
        pause: Function called between chunks, or None.
        unit: Name of the images in the progress bar.
    """
    # The metrics keep only sums. torchmetrics gathers lists element by element, so processes with
    # different numbers of chunks would hang (test_devices_setting_alone_starts_several_processes).
    at, moments, kept, score, modes = sums_device(device), None, None, None, None
    if request.gaussian:
        moments = Moments(num_features=network.num_features).to(at)
    if request.max_features is not None:
        kept = FeatureBuffer(
            num_images=num_images,
            num_features=network.num_features,
            max_features=request.max_features,
        ).to(at)
    if request.num_splits is not None:
        score = InceptionScore(
            num_images=num_images, num_classes=network.num_logits, num_splits=request.num_splits
        ).to(at)
    if request.modes:
        modes = ModeCounts(num_classes=network.num_logits).to(at)
    has_logits = score is not None or modes is not None
    starts = range(0, num_images, batch_size)
    mine = _share()
    everybodys = len(starts) // (mine.step or 1)  # some processes have one chunk more
    with Bar("Scoring", total=num_images, unit=unit) as bar:
        for i, start in enumerate(starts[mine]):
            if pause is not None and i < everybodys:
                pause()
            positions = torch.arange(start, min(start + batch_size, num_images))
            seen = network(images(start, start + len(positions)).to(device))
            _check_widths(seen, network, len(positions), has_logits=has_logits)
            if moments is not None:
                moments.update(seen.features.to(at))
            if kept is not None:
                kept.update(seen.features.to(at), positions)
            if score is not None:
                score.update(seen.logits.to(at), positions)
            if modes is not None:
                modes.update(seen.logits.to(at))
            bar.update(start + len(positions))
    return Statistics(
        gaussian=None if moments is None else moments.compute(),
        features=None if kept is None else kept.compute(),
        inception_score=None if score is None else tuple(v.item() for v in score.compute()),
        counts=None if modes is None else modes.compute(),
    )


def _check_widths(
    seen: Features, network: FeatureExtractor, num_images: int, *, has_logits: bool
) -> None:
    """Raise UserError if the output of a network differs from the sizes that it states."""
    sizes = {"features": ("num_features", network.num_features)}
    if has_logits:
        sizes["logits"] = ("num_logits", network.num_logits)
    for name, (attribute, size) in sizes.items():
        shape = tuple(getattr(seen, name).shape)
        if shape != (num_images, size):
            raise UserError(
                f"metrics.features: {type(network).__name__}.{attribute}={size}, but its {name} "
                f"of {num_images} images have\nthe shape {shape}. The shape must be "
                f"(number of images, {attribute})."
            )


def sums_device(device: torch.device) -> torch.device:
    """Return `device`, or the CPU if `device` has no float64."""
    return torch.device("cpu") if device.type == "mps" else device


def _share() -> slice:
    """Return the slice of all chunks that this process reads."""
    return slice(rank(), None, world_size())
