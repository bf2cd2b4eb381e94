"""Curve of a run's score against time, drawn from its metrics.csv."""

__all__ = ["draw_curve"]

import csv
import logging
from pathlib import Path

from limner.errors import UserError
from limner.files.plain import MAX_BYTES
from limner.files.printable import printable
from limner.metrics.time_to_score import read_curve, write_csv, write_picture

log = logging.getLogger(__name__)


def draw_curve(folder: Path, *, score: str) -> None:
    """Write time_to_score.csv and .png, if the run's metrics.csv has the score.

    A file that cannot be read leads to a warning only.

    Args:
        folder: The run folder.
        score: Name of a column, such as "val/fid".
    """
    path = folder / "metrics.csv"
    if not path.is_file():
        return
    with open(path, errors="replace") as file:
        columns = file.readline(MAX_BYTES).strip().split(",")
    if score not in columns:
        return
    try:
        curves = {folder.name: read_curve(folder, score=score)}
    except (UserError, ValueError, TypeError, KeyError, csv.Error) as error:
        log.warning("No curve is drawn because %s is damaged: %s", path, printable(error))
        return
    write_csv(curves, folder / "time_to_score.csv", score=score)
    write_picture(curves, folder / "time_to_score.png", score=score)
