"""Going on with a run on another number of processes: its updates take the same images.

The images of one optimizer step, over all processes, belong to the run as its learning rate does.
Their order and the random numbers of each are the same on any number of processes, see
`limner.data.batches` and `limner.randomness`. What remains is what a network does with the images
of its own process alone.
"""

__all__ = ["DeviceCounts", "fitting_batch_size", "inexact"]

import logging
from collections.abc import Mapping
from typing import Any

import lightning as L
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from limner.errors import UserError

log = logging.getLogger(__name__)


def fitting_batch_size(batch_size: int, *, saved: Mapping[str, Any], num_processes: int) -> int:
    """The images of one optimizer step on one process, so that all have those of the saved run.

    Args:
        batch_size: What the config says. Another one is taken where it does not fit, and said.
        saved: The entry "limner" of the checkpoint; without a "batch_size" anything fits.
        num_processes: Of the run as it goes on.

    Raises:
        UserError: If so many processes cannot share the images evenly.
    """
    total = saved.get("batch_size")
    if total is None or total == batch_size * num_processes:
        return batch_size
    if total % num_processes != 0:
        raise UserError(
            f"An optimizer step of this run takes {total} images, which "
            f"{_processes(num_processes)} cannot share evenly. Choose a number of processes "
            f"(trainer.devices x trainer.num_nodes) that divides {total}."
        )
    fitting = total // num_processes
    log.info(
        "data.batch_size=%d instead of %d: an optimizer step of this run takes %d images, now on "
        "%s.", fitting, batch_size, total, _processes(num_processes),
    )  # fmt: skip
    return fitting


class DeviceCounts(L.Callback):
    """Writes the number of processes into each checkpoint, and says what a change of it means.

    Args:
        sync_batchnorm: Whether batch norm takes its statistics over all processes.
    """

    def __init__(self, *, sync_batchnorm: bool) -> None:
        self.sync_batchnorm = sync_batchnorm

    def on_save_checkpoint(
        self, trainer: L.Trainer, model: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint.setdefault("limner", {}).update(
            batch_size=trainer.datamodule.batch_size * trainer.world_size,
            world_size=trainer.world_size,
        )

    def on_load_checkpoint(
        self, trainer: L.Trainer, model: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        before, now = checkpoint.get("limner", {}).get("world_size"), trainer.world_size
        if before not in (None, now):
            change = f"From {_processes(before)} to {now}: the run goes on"
            why = inexact(model, sync_batchnorm=self.sync_batchnorm)
            if why is None:
                log.info("%s as it would have, up to the rounding of sums.", change)
            else:
                log.info("%s, but not as it would have: %s.", change, why)


def inexact(model: nn.Module, *, sync_batchnorm: bool) -> str | None:
    """Why steps of the same images are others on another number of processes, or None."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and not sync_batchnorm:
            return f"{type(module).__name__} takes its statistics over the images of one process"
        if isinstance(module, _DropoutNd) and module.p > 0:
            return f"{type(module).__name__} draws separately in each process"
    return None


def _processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"
