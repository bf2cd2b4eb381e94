"""Scores of groups of runs as tables that fit the terminal."""

__all__ = ["Row", "Summary", "baseline_rows", "blocks", "objective_of", "summaries"]

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from limner.commands.compare.groups import MOST, Group
from limner.commands.compare.records import Run
from limner.commands.compare.texts import label
from limner.files.printable import counted, printable

GAP = 3
"""Number of characters between two columns."""
FEW = 4
"""Largest number of groups that get a column each; more groups get a row each."""
LARGE = 1e12
"""Size from which a mean is shown in scientific notation."""
HEADING = 14
"""Largest number of characters in a line of a column heading, if the heading can be broken."""


@dataclass(frozen=True)
class Summary:
    """One score of one group.

    Args:
        mean: Mean over the seeds.
        std: Standard deviation over the seeds (with n - 1); None for a single seed.
        runs: Runs that have the score.
    """

    mean: float
    std: float | None
    runs: Sequence[Run]

    def __str__(self) -> str:
        is_plain = math.isfinite(self.mean) and abs(self.mean) < LARGE
        if not is_plain or not self.std or not math.isfinite(self.std):
            spread = "" if self.std is None else f" ± {self.std:.2g}"
            return f"{self.mean:.4g}{spread}"
        decimals = min(8, max(0, 1 - math.floor(math.log10(self.std))))
        return f"{self.mean:.{decimals}f} ± {self.std:.{decimals}f}"


@dataclass(frozen=True)
class Row:
    """A group and its scores by name.

    Args:
        group: The group; for a baseline, a group without config values.
        num_seeds: Number of runs of the group in the table.
        scores: Scores by name.
        baseline: Name of a baseline of these scores, safe to print; None for runs.
    """

    group: Group
    num_seeds: int
    scores: Mapping[str, Summary]
    baseline: str | None = None

    @property
    def name(self) -> str:
        """Name of the group or the baseline."""
        return self.group.name if self.baseline is None else f"baseline: {self.baseline}"


def summaries(groups: Sequence[Group], runs: Sequence[Run]) -> list[Row]:
    """Return a row for each group with some of `runs`, best first if all share an objective."""
    rows = []
    for group in groups:
        members = [run for run in group.runs if run in runs]
        if members:
            names = dict.fromkeys(name for run in members for name in run.scores)
            scores = {name: _summary(name, members) for name in names}
            rows.append(Row(group, len(members), scores))
    return _best_first(rows)


def baseline_rows(runs: Sequence[Run]) -> list[Row]:
    """Return a row for each baseline that stands beside the scores of comparable runs."""
    found: dict[str, dict[str, Summary]] = {}
    for run in runs:
        for score, entry in run.scores.items():
            for name, value in entry.get("baselines", {}).items():
                mean = Summary(float(value), None, [run])
                found.setdefault(printable(name), {}).setdefault(score, mean)
    return [Row(Group({}, runs), 0, scores, name) for name, scores in found.items()]


def objective_of(rows: Sequence[Row]) -> str | None:
    """Return the name of the objective if all runs have the same one, else None."""
    objectives = {
        tuple(run.config.get(f"metrics.objective.{key}") for key in ("name", "mode"))
        for row in rows
        for run in row.group.runs
    }
    name, _ = objectives.pop()
    return None if objectives else name


def blocks(rows: Sequence[Row], *, width: int) -> list[Table]:
    """Return as few tables as possible, each at most `width` characters wide."""
    scores = list(dict.fromkeys(name for row in rows for name in row.scores))
    labels = [label(name) for name in scores]
    cells = [[_cell(row, name) for name in scores] for row in rows]
    groups_across = _laid_out(
        [["score", *labels]],
        [_heading(row) for row in rows],
        [list(column) for column in zip(*cells, strict=True)],
        width,
    )
    keys = list(dict.fromkeys(key for row in rows for key in row.group.values))[:MOST]
    names = [[label(key), *(label(row.group.values.get(key, "")) for row in rows)] for key in keys]
    if not keys:
        names = [["run", *(row.name for row in rows)]]
    for index, row in enumerate(rows, start=1):
        if row.baseline is not None:
            names[0][index] = label(row.name)
    names.append(["seeds", *(str(row.num_seeds or "") for row in rows)])
    scores_across = _laid_out(names, [_broken(name) for name in labels], cells, width)
    if len(rows) <= FEW and len(groups_across) in range(1, max(2, len(scores_across))):
        return groups_across
    return scores_across


def _summary(name: str, runs: Sequence[Run]) -> Summary:
    having = [run for run in runs if name in run.scores]
    values = np.array([run.scores[name]["value"] for run in having], dtype=float)
    with np.errstate(invalid="ignore", over="ignore"):
        std = float(values.std(ddof=1)) if len(values) > 1 else None
        return Summary(float(values.mean()), std, having)


def _best_first(rows: list[Row]) -> list[Row]:
    name = objective_of(rows)
    if name is None or not all(name in row.scores for row in rows):
        return rows
    sign = 1 if rows[0].group.runs[0].config.get("metrics.objective.mode") == "min" else -1
    means = {id(row): sign * row.scores[name].mean for row in rows}
    return sorted(rows, key=lambda row: (math.isnan(means[id(row)]), means[id(row)]))


def _cell(row: Row, name: str) -> str:
    summary = row.scores.get(name)
    if summary is None:
        return "–"
    few = f" ({len(summary.runs)})" if len(summary.runs) < row.num_seeds else ""
    return f"{summary}{few}"


def _heading(row: Row) -> str:
    if row.baseline is not None:
        return f"baseline:\n{label(row.baseline)}"
    seeds = counted(row.num_seeds, "seed")
    return "\n".join([*(row.group.words or [row.group.name]), f"({seeds})"])


def _broken(name: str) -> str:
    """Return the name of a score in short lines, broken after a slash or an underscore."""
    lines = [""]
    for part in re.findall(r"[^/_]+[/_]?", name):
        if lines[-1] and len(lines[-1] + part) > HEADING:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _laid_out(
    fixed: Sequence[Sequence[str]],
    headings: Sequence[str],
    cells: Sequence[Sequence[str]],
    width: int,
) -> list[Table]:
    """Return tables that each have the `fixed` columns first, then some of the other columns.

    Args:
        fixed: Fixed columns of texts, each with its heading first.
        headings: Headings of the other columns.
        cells: Rows of the other columns.
        width: Largest width of a table in characters.
    """
    columns = [[head, *(row[i] for row in cells)] for i, head in enumerate(headings)]
    room = width + GAP - sum(_width(column) + GAP for column in fixed)
    parts: list[list[list[str]]] = []
    left = 0
    for column in columns:
        left -= _width(column) + GAP
        if left < 0 or not parts:
            parts.append([])
            left = room - _width(column) - GAP
        parts[-1].append(column)
    return [_table(fixed, part) for part in parts]


def _table(fixed: Sequence[Sequence[str]], others: Sequence[Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in fixed:
        table.add_column(Text(column[0]), vertical="bottom", overflow="fold")
    for column in others:
        table.add_column(Text(column[0]), justify="right", no_wrap=True)
    for row in zip(*(column[1:] for column in (*fixed, *others)), strict=True):
        table.add_row(*map(Text, row))
    return table


def _width(column: Sequence[str]) -> int:
    return max(cell_len(line) for cell in column for line in cell.split("\n"))
