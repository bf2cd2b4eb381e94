"""Lightning's loop over the batches of an epoch, with fewer hooks and a last validation.

tests/test_interruptions.py, tests/test_measured_values.py and, for the hooks,
tests/models/test_overridden_hooks.py fail if Lightning changes this loop.
"""

__all__ = ["EpochLoop"]

from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loops.fetchers import _DataFetcher, _DataLoaderIterDataFetcher
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from torch import Tensor

from limner.models.lightning_internals.overridden import Overridden
from limner.schedules import Interval


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
        self.validated_epochs = Interval(every=1, growth=0.0)
        """Epochs after which a run is validated, out of those that Lightning would validate."""
        self._sums: dict[str, tuple[Tensor, int]] = {}

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
        if self.val_loop.restarting:
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
        output = self._step(batch, index)
        progress.increment_processed()
        hooks.call(hooks.end, "on_train_batch_end", output, batch, index)
        has_logged = bool(self._results)  # whether somebody has called `model.log`
        if has_logged:
            trainer._logger_connector.on_batch_end()
        progress.increment_completed()
        if has_logged:
            trainer._logger_connector.update_train_step_metrics()

    def _step(self, batch: Any, index: int) -> dict[str, Any]:
        """Call the model's `training_step` as Lightning does, and return its output."""
        loop, trainer = self.manual_optimization, self.trainer
        loop.on_run_start()
        trainer.lightning_module.__dict__["_current_fx_name"] = "training_step"
        output = trainer.strategy.training_step(batch, index)
        loop._output = loop.output_result_cls.from_training_step_output(output).asdict()
        return loop.on_run_end()

    def decide(self) -> bool:
        """Decide, after a batch, whether validation follows, and return the decision."""
        fit_loop = self.trainer.fit_loop
        wanted = super()._should_check_val_fx(fit_loop._data_fetcher) and self._is_due()
        self.validates = (wanted or fit_loop.ends_run()) and self.can_validate()
        self._sums = {}
        return self.validates

    def sum_up(
        self, values: Mapping[str, Tensor], num_images: int | Mapping[str, int]
    ) -> dict[str, tuple[Tensor, int]]:
        """Add the means of a validation batch; return the means of all batches with the last.

        Args:
            values: Means () over the images of the batch, by name.
            num_images: Number of images in the batch, or the number for each name.

        Returns:
            Mean and number of images of each name; empty before the last batch. A later call, such
            as at the end of the validation, returns its own values.
        """
        for name, value in values.items():
            total, number = self._sums.get(name, (0.0, 0))
            more = num_images[name] if isinstance(num_images, Mapping) else num_images
            self._sums[name] = total + value.detach().float() * more, number + more
        if not self.val_loop.batch_progress.is_last_batch:
            return {}
        sums, self._sums = self._sums, {}
        return {name: (total / max(number, 1), number) for name, (total, number) in sums.items()}

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
        trainer = self.trainer
        if trainer.should_stop:
            self.decide()  # the stop may have been requested after the last decision
        if (
            trainer.should_stop
            or self.validates
            or self._skip_next_val
            or trainer.received_sigterm
            or trainer.strategy.lr_scheduler_configs
            or trainer.lightning_module.automatic_optimization
        ):
            super().on_advance_end(data_fetcher)
        else:
            self._batches_that_stepped += 1
        self.validates = False

    def _is_due(self) -> bool:
        """Return whether a validation that Lightning would do is due; the user's own always is."""
        trainer = self.trainer
        if trainer.check_val_every_n_epoch is None or trainer.val_check_interval != 1.0:
            return True
        epoch = trainer.current_epoch + 1
        return self.validated_epochs.is_due(epoch // trainer.check_val_every_n_epoch)

    def _should_check_val_fx(self, data_fetcher: _DataFetcher) -> bool:
        return self.validates


def _is_on(device: torch.device, batch: Any) -> bool:
    """Return whether a batch is a dictionary of tensors on this device."""
    return isinstance(batch, dict) and all(
        isinstance(value, Tensor) and value.device == device for value in batch.values()
    )
