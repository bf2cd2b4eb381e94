"""The end of a run: its scores, and the files that must be there."""

__all__ = ["check_files", "finish"]

import logging
import os
from pathlib import Path
from typing import Any

import lightning as L
from omegaconf import DictConfig

from limner.callbacks.checkpoints import check_last
from limner.callbacks.domain_scores import DomainScores
from limner.callbacks.frame_scores import FrameScores
from limner.callbacks.measured import measured_of
from limner.callbacks.pair_scores import PairScores
from limner.callbacks.score_entries import entry, write_scores
from limner.callbacks.scores import Scores
from limner.console import print_all, shown
from limner.data import (
    ImageDataModule,
    PictureDataModule,
    SequenceDataModule,
    UnpairedDataModule,
)
from limner.data.backgrounds import background_of
from limner.errors import UserError
from limner.loggers import CSVLogger
from limner.models import VideoPrediction
from limner.runs.scores import scores_tables
from limner.warn_once import WarnOnce

log = logging.getLogger(__name__)

KINDS = ImageDataModule | PictureDataModule | SequenceDataModule | UnpairedDataModule
"""Data modules whose stores know the background of their pictures."""


def finish(trainer: L.Trainer, config: DictConfig) -> float | None:
    """Print the scores, and write scores.json if no callback has written it.

    Args:
        trainer: The trainer, after training.
        config: The run's config.

    Returns:
        Value of the objective in the first process. None in other processes, and if the metrics
        name no objective.

    Raises:
        UserError: If a file of the run could not be written.
    """
    if not trainer.is_global_zero:
        return None
    run_dir = Path(config.run_dir)
    values = measured_of(trainer).at(trainer.global_step)
    entries: dict[str, Any] = {}
    writing = WarnOnce("Writing scores.json", OSError)
    for callback in trainer.callbacks:
        if isinstance(callback, Scores | PairScores | DomainScores | FrameScores):
            entries = {name: each for name, each in callback.latest.items() if name in values}
            writing = callback.writing
    protocol = {"data": config.data.name, "split": "validation", "update": trainer.global_step}
    if (kind := config.data.get("binarisation")) is not None:
        protocol["binarisation"] = kind
    if isinstance(trainer.datamodule, KINDS):
        protocol |= background_of(trainer.datamodule.originals("validation")[0])
    if getattr(trainer.datamodule, "has_frames", False):
        protocol["num_frames"] = trainer.datamodule.num_frames
    for name in sorted(n for n in values if n.removesuffix("_std") not in entries):
        entries[name] = entry(trainer, values[name], std=None, protocol=protocol)
    if entries:
        with writing():
            write_scores(run_dir, entries)
        print_all(scores_tables(entries))
        log.info("Score protocols: %s", shown(run_dir / "scores.json"))
    if (run_dir / "final.png").exists():
        model = trainer.lightning_module
        changes = any(getattr(model, name, False) for name in ("reads_input", "reads_domains"))
        what, name = "Pictures" if changes else "Samples", "final.png"
        if getattr(model, "reads_frames", False) and (run_dir / "final.gif").exists():
            what = "Predictions" if isinstance(model, VideoPrediction) else what
            name = "final.gif"
        log.info("%s: %s", what, shown(run_dir / name))
    check_last(trainer)
    check_files(trainer, writing)
    if (objective := config.metrics.objective) is None:
        return None
    if values and objective.name not in values:
        log.warning("metrics.objective.name=%s is not measured by this run.", objective.name)
    return values.get(objective.name)


def check_files(trainer: L.Trainer, scores: WarnOnce) -> None:
    """Raise UserError if a file that training must leave could not be written.

    A logger that lost its network connection is not an error: its values are in metrics.csv.

    Args:
        trainer: The trainer after training, in the first process.
        scores: Context in which scores.json was written.

    Raises:
        UserError: If the last attempt to write one of the files failed.
    """
    kept = [getattr(callback, "writing", None) for callback in trainer.callbacks]
    kept += [each.writing for each in trainer.loggers if isinstance(each.logger, CSVLogger)]
    kept = [one for one in kept if isinstance(one, WarnOnce)]
    failed = {one.name: one.failure for one in (*kept, scores) if one.failure is not None}
    if not failed:
        return
    lines = [f"  {name} failed ({failure})" for name, failure in failed.items()]
    raise UserError(
        "\n".join(["Training is over, but not all of its files could be written:", *lines])
        + "\nTo write scores and last pictures once they can be: "
        f"resume={os.path.relpath(trainer.default_root_dir)}"
    )
