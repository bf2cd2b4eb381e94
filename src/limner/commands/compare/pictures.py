"""Pictures of the objective of runs against each swept value."""

__all__ = ["Panel", "panels", "write_picture"]

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from limner.commands.compare.tables import Row
from limner.commands.compare.texts import label
from limner.files.printable import plot_label

LARGEST = 1e100
"""Values of at least this size, and nan, are not drawn."""
MOST = 20
"""Largest number of panels in a picture."""
SPREAD = 20
"""Ratio of the largest to the smallest positive number from which the axis is logarithmic."""


class Panel(NamedTuple):
    """One panel of a picture: the score against one swept key.

    Args:
        key: Key of the config.
        values: Value of the key in each group; numbers if all are numbers, else texts.
        means: Means of the score over the seeds, one for each group.
        stds: Standard deviations of the score over the seeds; 0 for a single seed.
    """

    key: str
    values: Sequence[float] | Sequence[str]
    means: Sequence[float]
    stds: Sequence[float]

    @property
    def is_numeric(self) -> bool:
        """Whether all values are numbers."""
        return not any(isinstance(value, str) for value in self.values)

    @property
    def is_logarithmic(self) -> bool:
        """Whether the axis of the values is logarithmic."""
        if not self.is_numeric or min(self.values) <= 0:
            return False
        return max(self.values) / min(self.values) >= SPREAD

    def centres(self) -> list[tuple[float | str, float]]:
        """Return each value with the mean over its groups; numbers are sorted."""
        found: dict[float | str, list[float]] = {}
        for value, mean in zip(self.values, self.means, strict=True):
            found.setdefault(value, []).append(mean)
        pairs = [(value, sum(means) / len(means)) for value, means in found.items()]
        return sorted(pairs) if self.is_numeric else pairs


def panels(rows: Sequence[Row], *, score: str) -> list[Panel]:
    """Return a panel for each key that differs; groups without the score are left out."""
    shown = [r for r in rows if score in r.scores and abs(r.scores[score].mean) < LARGEST]
    found = []
    for key in dict.fromkeys(key for row in shown for key in row.group.values):
        having = [row for row in shown if key in row.group.values]
        values = [row.group.values[key] for row in having]
        if len(set(values)) > 1:
            summaries = [row.scores[score] for row in having]
            means = [summary.mean for summary in summaries]
            stds = [summary.std or 0.0 for summary in summaries]
            stds = [std if std < LARGEST else 0.0 for std in stds]
            found.append(Panel(key, _numbers(values) or values, means, stds))
    return found[:MOST]


def write_picture(found: Sequence[Panel], path: Path, *, score: str) -> None:
    """Draw the panels side by side: a dot for each group, a line through the means."""
    figure = Figure(figsize=(1 + 3.5 * len(found), 4), layout="constrained")
    for index, (panel, axes) in enumerate(
        zip(found, figure.subplots(1, len(found), sharey=True, squeeze=False)[0], strict=True)
    ):
        if not panel.is_numeric:
            panel = panel._replace(values=[_drawn(value) for value in panel.values])
        axes.errorbar(panel.values, panel.means, yerr=panel.stds, fmt="o", alpha=0.5, capsize=3)
        axes.plot(*zip(*panel.centres(), strict=True), color="black", linewidth=1)
        axes.set(
            xlabel=_drawn(panel.key), xscale="log" if panel.is_logarithmic else axes.get_xscale()
        )
        if index == 0:
            axes.set_ylabel(_drawn(score))
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def _numbers(values: Sequence[str]) -> list[float] | None:
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    return numbers if all(abs(number) < LARGEST for number in numbers) else None


def _drawn(text: str) -> str:
    return plot_label(label(text))
