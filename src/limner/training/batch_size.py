"""Resuming a run on another number of processes, with the same images in every update.

The number of images in one optimizer step, over all processes, is fixed for a run, like its
learning rate. The order of the images and the random numbers of each image are the same on any
number of processes, see `limner.data.batches` and `limner.randomness`. Only layers that depend on
the images of their own process alone, such as batch norm, give other results.
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
    """Return the batch size of one process that keeps the images of an optimizer step.

    Args:
        batch_size: Batch size in the config. If it does not fit, another size is returned and
            logged.
        saved: The entry "limner" of the checkpoint. Without a "batch_size" every size fits.
        num_processes: Number of processes of the resumed run.

    Raises:
        UserError: If this number of processes cannot share the images evenly.
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
        "data.batch_size=%d instead of %d, since an optimizer step of this run takes %d images "
        "on %s.", fitting, batch_size, total, _processes(num_processes),
    )  # fmt: skip
    return fitting


class DeviceCounts(L.Callback):
    """Callback that records the number of processes, and logs the effect of a change.

    The number is written into every checkpoint, and compared when a run is resumed.

    Args:
        sync_batchnorm: Whether batch norm computes its statistics over all processes.
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
            change = f"The run resumes on {_processes(now)} instead of {_processes(before)}"
            why = inexact(model, sync_batchnorm=self.sync_batchnorm)
            if why is None:
                log.info("%s. The results differ only by the rounding of sums.", change)
            else:
                log.info("%s. The results will differ: %s.", change, why)


def inexact(model: nn.Module, *, sync_batchnorm: bool) -> str | None:
    """Return why another number of processes changes the steps of the same images, or None."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and not sync_batchnorm:
            return f"{type(module).__name__} takes its statistics over the images of one process"
        if isinstance(module, _DropoutNd) and module.p > 0:
            return f"{type(module).__name__} draws separately in each process"
    return None


def _processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"
