"""Statistics of real images, computed once and kept in the cache.

An entry is checked when it is read. An entry that is damaged, or that another version of limner
wrote, is removed with a warning and computed again.
"""

__all__ = ["Reference", "reference"]

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from limner.cache import cached_folder, discard_folder, find_folder
from limner.files.own_code import own_code
from limner.interfaces import FeatureExtractor, ImageStore
from limner.metrics.frechet import FeatureMoments
from limner.metrics.statistics import (
    Pause,
    Statistics,
    StatisticsRequest,
    compute_statistics,
    sums_device,
)
from limner.processes import mean_over_processes

log = logging.getLogger(__name__)

KIND = "reference"
FORMAT = 1


class Reference(NamedTuple):
    """Statistics and description of the real images to compare with."""

    statistics: Statistics
    num_images: int
    about: dict[str, Any]
    """Description for the protocol: data, split, number, size."""
    floor: Mapping[str, float] = MappingProxyType({})
    """Score of as many other real images by name; empty if it was not computed."""
    baselines: Mapping[str, Mapping[str, float]] = MappingProxyType({})
    """Scores of changed real images by the name of the change, then by name; see `Evaluator`."""


def reference(
    store: ImageStore,
    indices: Tensor,
    *,
    about: dict[str, Any],
    network: FeatureExtractor,
    request: StatisticsRequest,
    batch_size: int,
    device: torch.device,
    pause: Pause | None = None,
) -> Reference:
    """Return the statistics of the images at `indices`.

    If the cache has the statistics, no image is read. The key of the cache contains the protocol
    of the network, and for a class outside limner its name and its code too.

    Every process of a group must call this function: if any process lacks the cache entry, all
    processes compute the statistics together.

    Args:
        store: Store of the images.
        indices: int64 (N,): indices of the images in the store.
        about: Description of the images for a reader, as plain JSON data.
        network: Feature network, already on `device`.
        request: Statistics to compute, without the inception score.
        batch_size: Number of images per chunk.
        device: Device of the network.
        pause: Function called between chunks, or None.
    """
    wanted = request._asdict()
    if not wanted["modes"]:
        del wanted["modes"]  # keeps the key of entries from earlier versions
    key = {
        "images": store.fingerprint,
        "indices": hashlib.sha256(indices.numpy().tobytes()).hexdigest(),
        "about": about,
        "network": network.protocol(),
        "wanted": wanted,
    }
    if code := own_code(network):  # limner's networks state all that matters in protocol()
        key["code"] = code
    found = _load(key)
    if _anywhere(found is None, sums_device(device)):
        found = compute_statistics(
            lambda start, stop: store.gather(indices[start:stop]),
            len(indices),
            network=network,
            request=request,
            batch_size=batch_size,
            device=device,
            pause=pause,
            unit="real images",
        )
        made = found.to(torch.device("cpu"))
        try:
            cached_folder(KIND, key, lambda into: _save(made, into))
        except (OSError, RuntimeError) as error:  # torch raises RuntimeError if the disk is full
            log.warning("The reference statistics cannot be kept in the cache (%s).", error)
    return Reference(found.to(sums_device(device)), len(indices), about)


def _save(made: Statistics, into: Path) -> None:
    mean, covariance = made.gaussian or (None, None)
    tensors = {"mean": mean, "covariance": covariance, "features": made.features}
    tensors["counts"] = made.counts
    path = into / "statistics.pt"
    torch.save({name: t for name, t in tensors.items() if t is not None}, path)
    (into / "about.json").write_text(json.dumps({"format": FORMAT, "sha256": _sha256(path)}))


def _load(key: dict[str, Any]) -> Statistics | None:
    """Return the cached statistics of `key`, or None; an unusable entry is removed."""
    folder = find_folder(KIND, key)
    if folder is None:
        return None
    try:
        about = json.loads((folder / "about.json").read_text())
        version, path = about["format"], folder / "statistics.pt"
        if version == FORMAT and about["sha256"] == _sha256(path):
            saved = torch.load(path, weights_only=True)
            gaussian = (
                FeatureMoments(saved["mean"], saved["covariance"]) if "mean" in saved else None
            )
            return Statistics(gaussian, saved.get("features"), None, saved.get("counts"))
        problem = "damaged" if version == FORMAT else f"of format {version}, not {FORMAT}"
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        problem = f"damaged ({type(error).__name__})"
    log.warning("The reference statistics in %s are %s: computing them again.", folder, problem)
    discard_folder(KIND, key)
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _anywhere(missing: bool, device: torch.device) -> bool:
    """Return whether any process of the group lacks the statistics."""
    return mean_over_processes(torch.tensor(float(missing), device=device)).item() > 0
