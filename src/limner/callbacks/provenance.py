"""Writes into each checkpoint what made it."""

__all__ = ["Provenance"]

from typing import Any

import lightning as L

from limner.version import __version__


class Provenance(L.Callback):
    """Adds an entry "limner" to checkpoints, of plain values.

    `version` is limner's, `world_size` the number of processes, and `batch_size` the number of
    images of one optimizer step over all of them.
    """

    def on_save_checkpoint(
        self, trainer: L.Trainer, model: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint.setdefault("limner", {}).update(
            version=__version__,
            batch_size=trainer.datamodule.batch_size * trainer.world_size,
            world_size=trainer.world_size,
        )
