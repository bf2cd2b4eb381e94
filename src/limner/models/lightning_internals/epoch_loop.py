"""Lightning's loop over the batches of an epoch, changed to always validate the last update.

tests/test_interruptions.py and tests/test_measured_values.py fail if Lightning changes this loop.
"""

__all__ = ["EpochLoop"]

import lightning as L
from lightning.pytorch.loops.fetchers import _DataFetcher
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop


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
