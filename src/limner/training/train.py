"""Training from a config to scores: prepare a run, fit it, finish it."""

__all__ = ["prepare", "train"]

from limner.callbacks.checkpoints import check_last
from limner.callbacks.signals import stopping_at_once
from limner.errors import Interrupted
from limner.training.features import keep_features
from limner.training.finish import finish
from limner.training.fit import fit
from limner.training.further_processes import forget_others, others_told
from limner.training.run import Run, prepare


def train(run: Run) -> float | None:
    """Train a prepared run, and score it.

    Args:
        run: The run, from `prepare`, which changes nothing in the run folder.

    Returns:
        Value of the objective at the end, or None if the metrics name no objective.

    Raises:
        UserError: If the run cannot be trained, or if its last checkpoint could not be written.
        Interrupted: If a signal stopped training.
    """
    with stopping_at_once(), run.folder, run.status.kept(), others_told(run.folder.path):
        try:
            run.record()
            keep_features(run)
            trainer = fit(run)
            run.progress.has_trained = True
            forget_others()
            run.folder.restore_after_training()
            objective = finish(trainer, run.config)
            check_last(trainer)
        except KeyboardInterrupt:
            when = "after" if run.progress.has_trained else "before"
            raise Interrupted(f"Stopped {when} training.") from None
        return objective
