"""Takes turns in a training by Lightning, limner's or the template's."""

__all__ = ["TakeTurns"]

from typing import Any

import lightning as L

from benchmarks.turns import Turns


class TakeTurns(L.Callback):
    """Trains when it is told to, and ends the training when it is told to."""

    def on_train_start(self, trainer: L.Trainer, model: Any) -> None:
        self.turns = Turns(
            device=trainer.strategy.root_device.type,
            draw=model.sample,
            save=trainer.save_checkpoint,
        )

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, *args: object
    ) -> None:
        if not self.turns.after_update():
            trainer.should_stop = True
