"""The measured values of a model, each with the update at which it was measured.

Lightning's `callback_metrics` keeps old values, but not the updates at which they were measured.
So callbacks that log or report a `val/` value, or choose the best checkpoint by it, read this
record instead.
"""

__all__ = ["Follower", "Measured", "Measures", "measured_of"]

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import lightning as L


@runtime_checkable
class Follower(Protocol):
    """Callback that receives each value as soon as it is measured."""

    def on_measured(self, trainer: L.Trainer, values: Mapping[str, float]) -> None: ...


@runtime_checkable
class Measures(Protocol):
    """Callback that measures values by itself, beside validation."""

    names: set[str]
    """Log keys of the values."""


class Measured(L.Callback):
    """Callback that records the newest value of each `val/` key, and when it was measured.

    The values come from validation, at its end, and from other callbacks, by `add`. Checkpoints
    contain the record, so a resumed run has the earlier values.
    """

    def __init__(self) -> None:
        self._values: dict[str, tuple[float, int]] = {}

    def at(self, update: int) -> dict[str, float]:
        """Return the values that were measured at `update`, without older values."""
        return {name: value for name, (value, when) in self._values.items() if when == update}

    def add(self, trainer: L.Trainer, values: Mapping[str, float]) -> None:
        """Record values of the current weights, and pass them to each `Follower`."""
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
    """Return the `Measured` callback of a trainer."""
    return next(callback for callback in trainer.callbacks if isinstance(callback, Measured))
