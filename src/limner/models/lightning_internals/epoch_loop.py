"""Lightning's loop over the batches of an epoch, which always validates the last update.

tests/test_interruptions.py and tests/test_measured_values.py would notice a change of Lightning.
"""

__all__ = ["EpochLoop"]

import lightning as L
from lightning.pytorch.loops.fetchers import _DataFetcher
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop


class EpochLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, which also validates the last update.

    `decide` is the one place that says whether an update is validated; a further interval that
    follows the count of updates would be asked there.

    Args:
        trainer: The trainer whose epoch loop it replaces.
    """

    def __init__(self, trainer: L.Trainer) -> None:
        replaced = trainer.fit_loop.epoch_loop
        super().__init__(trainer, replaced.min_steps, replaced.max_steps)
        self.validates = False
        """Whether validation follows the update that was done last."""

    def decide(self) -> bool:
        """Decide, after a batch, whether validation follows, and return the decision."""
        fit_loop = self.trainer.fit_loop
        wanted = super()._should_check_val_fx(fit_loop._data_fetcher) or fit_loop.ends_run()
        self.validates = wanted and self.can_validate()
        return self.validates

    def can_validate(self) -> bool:
        """Return whether the model is validated in training, and has images to validate on."""
        trainer = self.trainer
        wanted = getattr(trainer.lightning_module, "validates_in_training", True)
        if not (trainer.enable_validation and wanted):
            return False
        trainer.validating = True
        self.val_loop.setup_data()
        trainer.training = True
        return sum(self.val_loop.max_batches) > 0

    def validate(self) -> None:
        """Validate the present weights, and leave no trace in the training that follows."""
        trainer, connector = self.trainer, self.trainer._logger_connector
        first = connector._first_loop_iter
        trainer.validating = True
        self.val_loop.restarting = False
        self.val_loop.run()
        trainer.training = True
        connector._first_loop_iter = first

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        if self.trainer.should_stop:
            self.decide()  # somebody may have asked for the end since
        super().on_advance_end(data_fetcher)
        self.validates = False

    def _should_check_val_fx(self, data_fetcher: _DataFetcher) -> bool:
        return self.validates
