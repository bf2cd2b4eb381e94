"""The values measured of a model, each with the update at which it was measured.

Lightning's `callback_metrics` keeps values of earlier updates and does not say how old they are.
So whoever logs a `val/` value, chooses the best checkpoint by it or reports it reads this record.
"""

__all__ = ["Follower", "Measured", "measured_of"]

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import lightning as L


@runtime_checkable
class Follower(Protocol):
    """A callback that wants each value as soon as it is measured."""

    def on_measured(self, trainer: L.Trainer, values: Mapping[str, float]) -> None: ...


class Measured(L.Callback):
    """Keeps the newest value of each `val/` name, and the update whose weights it belongs to.

    Validation fills it at its end, other callbacks by `add`. Checkpoints hold it, so a resumed run
    knows what was measured before.
    """

    def __init__(self) -> None:
        self._values: dict[str, tuple[float, int]] = {}

    def at(self, update: int) -> dict[str, float]:
        """Return the values that were measured at `update`, and no older ones."""
        return {name: value for name, (value, when) in self._values.items() if when == update}

    def add(self, trainer: L.Trainer, values: Mapping[str, float]) -> None:
        """Record values of the present weights, and pass them to the callbacks that follow."""
        self._values |= {name: (value, trainer.global_step) for name, value in values.items()}
        for callback in trainer.callbacks:
            if isinstance(callback, Follower):
                callback.on_measured(trainer, values)

    def on_validation_end(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        found = trainer.fit_loop.validated_values()
        self.add(trainer, {n: value for n, value in found.items() if n.startswith("val/")})

    def state_dict(self) -> dict[str, Any]:
        return {"values": {name: list(pair) for name, pair in self._values.items()}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._values = {name: tuple(pair) for name, pair in state_dict["values"].items()}


def measured_of(trainer: L.Trainer) -> Measured:
    """Return the record of a trainer."""
    return next(callback for callback in trainer.callbacks if isinstance(callback, Measured))
