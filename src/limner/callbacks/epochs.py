"""Whether training ends with the running epoch, which Lightning does not say."""

__all__ = ["is_last_epoch"]

import lightning as L


def is_last_epoch(trainer: L.Trainer) -> bool:
    """For use in `on_train_epoch_end`."""
    return (
        trainer.should_stop
        or trainer.current_epoch + 1 == trainer.max_epochs
        or trainer.global_step == trainer.max_steps
    )
