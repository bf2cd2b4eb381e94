"""Training speed of a run, and its scores against wall-clock seconds, from its metrics.csv."""

__all__ = ["Curve", "read_curve", "training_speed", "write_csv", "write_picture"]

import csv
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from limner.errors import UserError
from limner.files.logged_rows import read_rows
from limner.files.printable import plot_label

SECONDS, SPEED = "time/seconds", "time/images_per_second"


class Curve(NamedTuple):
    """Values of one score of one run; three lists of the same length, by update."""

    updates: list[int]
    seconds: list[float]
    """Wall-clock seconds since the start of training, scoring and pictures included."""
    values: list[float]

    def seconds_to(self, value: float, *, lower_is_better: bool) -> float | None:
        """Return the seconds until the score was `value` or better; None if it never was."""
        better = (lambda x: x <= value) if lower_is_better else (lambda x: x >= value)
        return next((s for s, x in zip(self.seconds, self.values, strict=True) if better(x)), None)


def read_curve(folder: Path | str, *, score: str) -> Curve:
    """Read a score against wall-clock seconds, at each update where it was computed.

    Args:
        folder: Run folder.
        score: Column of metrics.csv, e.g. "val/fid".

    Raises:
        UserError: If metrics.csv, the score or the times are missing.
    """
    path, rows = Path(folder, "metrics.csv"), _rows(folder)
    columns = set(rows[0]) if rows else set()
    if SECONDS not in columns:
        raise UserError(f"{path} has no column {SECONDS}: the run is of an older version.")
    if score not in columns:
        known = sorted(name for name in columns if name.startswith("val/"))
        raise UserError(f"{path} has no column {score}, but: {', '.join(known) or 'no scores'}.")
    curve, seconds = Curve([], [], []), math.nan
    for row in rows:
        seconds = float(row[SECONDS]) if row[SECONDS] else seconds
        if row[score] and not math.isnan(seconds):
            curve.updates.append(int(row["update"]))
            curve.seconds.append(seconds)
            curve.values.append(float(row[score]))
    return curve


def training_speed(folder: Path | str) -> float | None:
    """Return the median of the logged images per second of training; None if none was logged."""
    found = [row[SPEED] for row in _rows(folder) if row.get(SPEED)]
    return statistics.median(map(float, found)) if found else None


def write_csv(curves: Mapping[str, Curve], path: Path | str, *, score: str) -> None:
    """Write one row per point: run, update, seconds, and the score under its own name."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run", "update", "seconds", score])
        for run, curve in curves.items():
            writer.writerows((run, *point) for point in zip(*curve, strict=True))


def write_picture(curves: Mapping[str, Curve], path: Path | str, *, score: str) -> None:
    """Plot the curves in one picture, with time on a logarithmic axis.

    Args:
        curves: Curve of each run by name; a curve without points is left out.
        path: Path of the picture; its suffix sets the format, e.g. PNG.
        score: Name of the score, for the axis.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        if curve.values:
            axes.plot(curve.seconds, curve.values, marker=".", label=plot_label(name))
    axes.set(xlabel="wall-clock seconds of training", ylabel=plot_label(score), xscale="log")
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()
    figure.savefig(path, dpi=150)


def _rows(folder: Path | str) -> list[dict[str, str]]:
    path = Path(folder, "metrics.csv")
    if not path.is_file():
        raise UserError(
            f"{folder} has no metrics.csv: train with logger=csv (or with the default)."
        )
    return read_rows(path.read_bytes()).rows
