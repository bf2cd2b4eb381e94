"""Count of updates (tests/models/test_lightning_internals.py)."""

__all__ = ["count_update"]

import lightning as L


def count_update(model: L.LightningModule) -> None:
    """Raise `trainer.global_step` by one; call it once at the end of an update.

    Lightning's own count increases with every step of every optimizer. The `max_steps` of a GAN
    would then end after half the updates, and checkpoint and log would disagree. So the models of
    limner step torch's own optimizers, which Lightning does not count.
    """
    progress = model.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    progress.increment_ready()
    progress.increment_completed()
