"""Warnings of a CycleGAN whose generators do nothing."""

__all__ = ["CopyWarning"]

import logging

import lightning as L

from limner.callbacks.measured import measured_of

log = logging.getLogger(__name__)


class CopyWarning(L.Callback):
    """Callback that warns after a validation if a CycleGAN copies its pictures.

    It does nothing for other models. It repeats the warning of a direction only if the direction
    has recovered in between.

    Args:
        min_change: Mean difference between pictures and their translations, in levels of 255, at
            least 0, below which to warn.
        first_update: First update at which to warn, since generators begin near a copy.
    """

    def __init__(self, *, min_change: float, first_update: int) -> None:
        if not min_change >= 0:
            raise ValueError(f"callbacks.copies.min_change={min_change}: must be 0 or more.")
        self.min_change, self.first_update = min_change, first_update
        self._said: set[str] = set()

    def on_validation_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.global_step < self.first_update:
            return
        measured = measured_of(trainer).at(trainer.global_step)
        changes = {name: measured.get(f"val/change_{name}") for name in ("ab", "ba")}
        low = {
            name for name, each in changes.items() if each is not None and each < self.min_change
        }
        for name in sorted(low - self._said):
            log.warning(
                "Direction %s copies its pictures: they change by %.1f of 255 levels. The usual "
                "cures: model.identity_weight=0, a smaller model.cycle_weight, longer training.",
                name, changes[name],
            )  # fmt: skip
        self._said = low
