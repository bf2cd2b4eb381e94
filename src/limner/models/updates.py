"""Counts one update for each step of a model that optimizes by hand."""

__all__ = ["count_update"]

import lightning as L


def count_update(model: L.LightningModule) -> None:
    """Raises `trainer.global_step` by one.

    Lightning's own count goes up with every step of every optimizer, so that `max_steps` of a GAN
    would end after half the updates, and checkpoint and log would disagree. The models here step
    the bare optimizers, which Lightning does not count, and call this once for each update. It is
    the only place that touches Lightning's private counter; tests/models/test_updates.py guards
    it.
    """
    progress = model.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    progress.increment_ready()
    progress.increment_completed()
