"""Writes into each checkpoint what made it."""

__all__ = ["Provenance"]

from typing import Any

import lightning as L

from limner.version import FORMAT, __version__


class Provenance(L.Callback):
    """Adds limner's `version` and `format` to the entry "limner" of checkpoints."""

    def on_save_checkpoint(
        self, trainer: L.Trainer, model: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint.setdefault("limner", {}).update(version=__version__, format=FORMAT)
