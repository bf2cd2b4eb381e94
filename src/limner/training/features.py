"""Features of a frozen network, computed once before training instead of in each update."""

__all__ = ["keep_features"]

import logging

from limner.data.module import ImageDataModule
from limner.training.run import Run

log = logging.getLogger(__name__)


def keep_features(run: Run) -> None:
    """Let the data compute the features of the model's frozen network, if there is one.

    A model has a `frozen_network` if it can train on batches with the features of this network.

    Raises:
        UserError: If the cache has no room.
    """
    network = getattr(run.model, "frozen_network", None)
    if network is None or not isinstance(run.data, ImageDataModule):
        return
    device = run.trainer.strategy.root_device
    if not run.data.keep_features(network.to(device), device):
        log.info(
            "Each update computes the features of its images again, since the images are\n"
            "augmented or binarised; data/augmentation=none computes them once."
        )
