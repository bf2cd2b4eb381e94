"""Record of the version and format of limner in each checkpoint."""

__all__ = ["Provenance"]

from typing import Any

import lightning as L

from limner.version import FORMAT, __version__


class Provenance(L.Callback):
    """Callback that adds `version`, `format` and `num_updates` to checkpoints, under "limner".

    Args:
        num_updates: Length of training that schedules use; None without a limit.
    """

    def __init__(self, *, num_updates: int | None) -> None:
        self.num_updates = num_updates

    def on_save_checkpoint(
        self, trainer: L.Trainer, model: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint.setdefault("limner", {}).update(
            version=__version__, format=FORMAT, num_updates=self.num_updates
        )
