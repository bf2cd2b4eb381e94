"""Features of a frozen network, computed once for all images of a store, and kept in the cache.

Each image has the same features in every epoch, so a training of a few layers on top of a frozen
network need not compute them again. A table is a file of float32 values that is mapped into
memory.
"""

__all__ = ["FrozenNetwork", "feature_table"]

import logging
import math
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from limner.cache import cached_folder, discard_folder
from limner.data.store import Store
from limner.files.own_code import own_code
from limner.pixels import to_float

log = logging.getLogger(__name__)

CHUNK = 128
NUM_TIMED = 3  # number of chunks from which the time is estimated
FORMAT = 1


class FrozenNetwork(Protocol):
    """A network whose features never change in training."""

    num_features: int

    def facts(self) -> list[Any]:
        """Return all that determines the features, as plain JSON data."""

    def features(self, images: Tensor) -> Tensor:
        """Return the features (B, num_features) of images (B, C, H, W) in [-1, 1]."""


def feature_table(store: Store, network: FrozenNetwork, *, device: torch.device) -> Tensor:
    """Return the features float32 (N, num_features) of all images of a store, in its order.

    The first call computes the table; a damaged table is computed again. Several processes may
    call the function at the same time.

    Args:
        store: Store of N images.
        network: Network, in evaluation mode and on `device`.
        device: Device that computes the features. The table itself is on the CPU.

    Raises:
        UserError: If the cache has no room.
    """
    key = [FORMAT, store.fingerprint, network.facts(), *own_code(network)]
    shape = (len(store), network.num_features)

    def build(into: Path) -> None:
        _compute(store, network, device, into / "features.bin")

    file = cached_folder("features", key, build) / "features.bin"
    if not file.is_file() or file.stat().st_size != 4 * math.prod(shape):
        log.warning("The features in %s are damaged: computing them again.", file.parent)
        discard_folder("features", key)
        file = cached_folder("features", key, build) / "features.bin"
    return torch.from_numpy(np.memmap(file, np.float32, mode="c", shape=shape))


@torch.no_grad()
def _compute(store: Store, network: FrozenNetwork, device: torch.device, file: Path) -> None:
    start, parts = time.monotonic(), torch.arange(len(store)).split(CHUNK)
    with open(file, "wb") as opened:
        for number, part in enumerate(parts):
            if number == NUM_TIMED:
                seconds = (time.monotonic() - start) / NUM_TIMED * len(parts)
                about = f"{len(store):,} images, once (about {seconds:.0f} s)"
                log.info("Computing the features of %s ...", about)
            images = to_float(store.gather(part).to(device))
            features = network.features(images).float().cpu()
            opened.write(np.ascontiguousarray(features.numpy()).data)
    if len(parts) > NUM_TIMED:
        log.info("Computed in %.1f s.", time.monotonic() - start)
