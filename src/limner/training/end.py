"""What must be there when training is over, or the run has not finished."""

__all__ = ["check_files"]

import os

import lightning as L

from limner.errors import UserError
from limner.loggers import CSVLogger
from limner.warn_once import WarnOnce


def check_files(trainer: L.Trainer, scores: WarnOnce) -> None:
    """Refuse to end as finished without the files that training was to leave.

    A logger that lost its network is no reason: its values are in metrics.csv.

    Args:
        trainer: After training, in the first process.
        scores: What scores.json was written in.

    Raises:
        UserError: If the last try to write one of the files failed.
    """
    kept = [getattr(callback, "writing", None) for callback in trainer.callbacks]
    kept += [logger.writing for logger in trainer.loggers if isinstance(logger, CSVLogger)]
    kept = [one for one in kept if isinstance(one, WarnOnce)]
    failed = {one.name: one.failure for one in (*kept, scores) if one.failure is not None}
    if not failed:
        return
    lines = [f"  {name} failed ({failure})" for name, failure in failed.items()]
    error = UserError(
        "\n".join(["Training is over, but not all of its files could be written:", *lines])
        + "\nTo write scores and last pictures once they can be: "
        f"resume={os.path.relpath(trainer.default_root_dir)}"
    )
    error.began = True
    raise error
