"""The overridden hooks of an update, which are the only hooks that are called.

Lightning calls every hook of every callback, and enters the profiler for each call. Most of these
hooks do nothing. With a small network the calls take longer than the update itself.
tests/models/test_overridden_hooks.py fails if Lightning changes its hooks.
"""

__all__ = ["Overridden"]

from collections.abc import Callable
from typing import Any

import lightning as L
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature

BATCH = ("on_train_batch_start", "on_train_batch_end")
TRANSFER = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
BACKWARD = ("on_before_backward", "on_after_backward")
OF_PRECISION = ("pre_backward", "backward", "post_backward")


class Overridden:
    """The overridden hooks of a trainer's callbacks, model and data, for the updates of an epoch.

    Args:
        trainer: Trainer that is about to train an epoch.
    """

    def __init__(self, trainer: L.Trainer) -> None:
        model, self._trainer = trainer.lightning_module, trainer
        precision = type(trainer.precision_plugin)
        self.is_known = (
            not model.automatic_optimization
            and isinstance(trainer.profiler, PassThroughProfiler)
            and not any(is_overridden(hook, model) for hook in BATCH)
            and is_param_in_hook_signature(model.training_step, "batch_idx", min_args=2)
        )
        """Whether the hooks can be called from here; otherwise Lightning must call them."""
        self.start = self._callbacks("on_train_batch_start")
        self.end = self._callbacks("on_train_batch_end")
        self.moves_batches = precision.convert_input is not Precision.convert_input or any(
            is_overridden(hook, each) for hook in TRANSFER for each in (model, trainer.datamodule)
        )
        """Whether a hook wants to see each batch before it is on the device."""
        self.sees_backward = (
            type(trainer.strategy) is not SingleDeviceStrategy
            or any(
                getattr(precision, name) is not getattr(Precision, name) for name in OF_PRECISION
            )
            or is_overridden("backward", model)
            or any(self._callbacks(hook) or is_overridden(hook, model) for hook in BACKWARD)
        )
        """Whether each backward pass must go through Lightning."""

    def call(self, hooks: list[Callable], name: str, *args: Any) -> None:
        """Call the callbacks' hooks of one name, in the order of the callbacks."""
        model = self._trainer.lightning_module
        attributes = model.__dict__  # torch's own setting of attributes is slow
        attributes["_current_fx_name"] = name  # where `model.log` looks
        for hook in hooks:
            hook(self._trainer, model, *args)
        attributes["_current_fx_name"] = None

    def _callbacks(self, name: str) -> list[Callable]:
        callbacks = self._trainer.callbacks
        return [getattr(each, name) for each in callbacks if is_overridden(name, each)]
