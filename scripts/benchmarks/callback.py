"""Callback that lets Lightning train in turns with the other opponents."""

__all__ = ["TakeTurns"]

from typing import Any

import lightning as L

from benchmarks.turns import Turns


class TakeTurns(L.Callback):
    """Callback that pauses training between turns, and ends it at the command of the parent."""

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
