"""Lightning's loop over the batches of an epoch, with fewer hooks and a last validation.

tests/test_interruptions.py, tests/test_measured_values.py and, for the hooks,
tests/models/test_overridden_hooks.py fail if Lightning changes this loop.
"""

__all__ = ["EpochLoop"]

from collections import OrderedDict
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loops.fetchers import _DataFetcher, _DataLoaderIterDataFetcher
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from torch import Tensor

from limner.models.lightning_internals.overridden import Overridden


class EpochLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, which also validates the last update.

    Only `decide` determines whether an update is validated; any further interval that counts
    updates belongs there.

    Args:
        trainer: Trainer whose epoch loop is replaced.
    """

    def __init__(self, trainer: L.Trainer) -> None:
        replaced = trainer.fit_loop.epoch_loop
        super().__init__(trainer, replaced.min_steps, replaced.max_steps)
        self.validates = False
        """Whether validation follows the latest update."""
        self.overridden: Overridden | None = None
        """The hooks that somebody overrides; None before the first epoch."""

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        super().on_run_start(data_fetcher)
        self.overridden = Overridden(self.trainer)

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """Train one batch as Lightning does, but call only hooks that somebody overrides.

        Lightning also broadcasts whether a process received SIGTERM, in each update. Here
        `limner.callbacks.signals` handles the signal.
        """
        is_known = self.overridden.is_known and not self.restarting
        if not is_known or isinstance(data_fetcher, _DataLoaderIterDataFetcher):
            super().advance(data_fetcher)
            return
        trainer, hooks, progress = self.trainer, self.overridden, self.batch_progress
        self.val_loop.restarting = False
        batch, _, _ = next(data_fetcher)
        index = progress.current.ready
        progress.is_last_batch = data_fetcher.done
        if hooks.moves_batches or not _is_on(trainer.strategy.root_device, batch):
            batch = trainer.precision_plugin.convert_input(batch)
            batch = trainer.lightning_module._on_before_batch_transfer(batch, dataloader_idx=0)
            batch = trainer.strategy.batch_to_device(batch, dataloader_idx=0)
        progress.increment_ready()
        trainer._logger_connector.on_batch_start(batch)
        hooks.call(hooks.start, "on_train_batch_start", batch, index)
        trainer.strategy.on_train_batch_start(batch, index)
        progress.increment_started()
        output = self.manual_optimization.run(OrderedDict(batch=batch, batch_idx=index))
        progress.increment_processed()
        hooks.call(hooks.end, "on_train_batch_end", output, batch, index)
        trainer._logger_connector.on_batch_end()
        progress.increment_completed()
        trainer._logger_connector.update_train_step_metrics()

    def decide(self) -> bool:
        """Decide, after a batch, whether validation follows, and return the decision."""
        fit_loop = self.trainer.fit_loop
        wanted = super()._should_check_val_fx(fit_loop._data_fetcher) or fit_loop.ends_run()
        self.validates = wanted and self.can_validate()
        return self.validates

    def can_validate(self) -> bool:
        """Return whether the model is validated in training and has validation images."""
        trainer = self.trainer
        wanted = getattr(trainer.lightning_module, "validates_in_training", True)
        if not (trainer.enable_validation and wanted):
            return False
        trainer.validating = True
        self.val_loop.setup_data()
        trainer.training = True
        return sum(self.val_loop.max_batches) > 0

    def validate(self) -> None:
        """Validate the current weights, without any effect on the training that follows."""
        trainer, connector = self.trainer, self.trainer._logger_connector
        first = connector._first_loop_iter
        trainer.validating = True
        self.val_loop.restarting = False
        self.val_loop.run()
        trainer.training = True
        connector._first_loop_iter = first

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        if self.trainer.should_stop:
            self.decide()  # the stop may have been requested after the last decision
        super().on_advance_end(data_fetcher)
        self.validates = False

    def _should_check_val_fx(self, data_fetcher: _DataFetcher) -> bool:
        return self.validates


def _is_on(device: torch.device, batch: Any) -> bool:
    """Return whether a batch is a dictionary of tensors on this device."""
    return isinstance(batch, dict) and all(
        isinstance(value, Tensor) and value.device == device for value in batch.values()
    )
