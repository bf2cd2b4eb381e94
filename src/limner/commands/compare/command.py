"""`limner compare`: show the scores of runs side by side, if their protocols agree."""

__all__ = ["Options", "run"]

import csv
import json
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import get_console

from limner.commands.compare.blind import Trials, make
from limner.commands.compare.groups import MOST, Group, grouped
from limner.commands.compare.pictures import panels, write_picture
from limner.commands.compare.protocols import Difference, differences, protocol, separated
from limner.commands.compare.records import Run
from limner.commands.compare.runs import find
from limner.commands.compare.tables import (
    Row,
    baseline_rows,
    blocks,
    objective_of,
    summaries,
)
from limner.commands.compare.texts import label
from limner.commands.options import Compare as Options
from limner.config.command_options import parse
from limner.console import say
from limner.errors import UserError
from limner.files.printable import printable


def run(words: Sequence[str]) -> int:
    """Run `limner compare` with these words, and return the exit code.

    Raises:
        UserError: If a folder is not a run, if no run has scores, or if protocols differ.
    """
    folders, options = _sorted_out([word for word in words if word != "--blind"])
    if "--blind" in words:
        made = make(find(folders), parse(options, Trials))
        say(made)
        return 0
    parsed, runs = parse(options, Options), find(folders)
    if parsed.picture is None and len(folders) == 1 and Path(folders[0], "multirun.yaml").exists():
        parsed.picture = str(Path(folders[0], "scores.png"))
    return _compare(runs, parsed)


def _sorted_out(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return folders and options; the names of a sweep's job folders may contain a `=` too."""
    options = [
        word
        for word in words
        if word.partition("=")[0].isidentifier() and "=" in word and not Path(word).exists()
    ]
    for word in words:
        if word.startswith("-"):
            raise UserError(f"{printable(word)}: there is no such flag; there is: --blind")
    return [word for word in words if word not in options], options


def _compare(runs: Sequence[Run], options: Options) -> int:
    if options.to is not None and not options.to.endswith(".csv"):
        raise UserError(f"to={options.to}: the table is written as CSV; name a file *.csv")
    scored = [run for run in runs if run.problem is None]
    if not scored:
        raise UserError("None of these runs has scores yet.\n" + _listed(runs))
    groups = grouped(scored)
    # a run with a repeated seed is not in the table, so its protocol may differ
    counted = [run for run in scored if any(run in group.runs for group in groups)]
    parts = separated(counted, options.ignore)
    if len(parts) > 1 and not options.by_protocol:
        raise UserError(_refusal(differences(counted, options.ignore), groups))
    tables = [summaries(groups, part) for part in parts]
    console = get_console()
    for part, rows in zip(parts, tables, strict=True):
        if len(parts) > 1:
            say(_told_apart(part, counted, options.ignore), style="bold")
        for table in blocks([*rows, *baseline_rows(part)], width=console.width):
            console.print(table)
            console.print()
    for line in _notes(runs, groups, options.ignore):
        say(line)
    if options.to is not None:
        _write(Path(options.to), [row for rows in tables for row in rows], options.ignore)
    if options.picture is not None and len(parts) == 1:
        _draw(tables[0], Path(options.picture))
    return 0


def _refusal(found: Sequence[Difference], groups: Sequence[Group]) -> str:
    """Return the message about protocols that differ: the keys, the scores and the runs."""
    lines = ["These scores were computed in different ways and cannot be compared."]
    scores_of: dict[tuple[str, str], list[str]] = {}  # (runs of each value, key) -> scores
    for difference in found:
        key = f"  {label(difference.key)}: {' | '.join(map(label, difference.values))}"
        runs = [
            f"  value {number}: {_names(runs, groups)}"
            for number, runs in enumerate(difference.values.values(), 1)
        ]
        scores_of.setdefault(("\n".join(runs), key), []).append(label(difference.score))
    keys_of: dict[str, dict[str, list[str]]] = {}  # runs of each value -> scores -> keys
    for (runs, key), scores in list(scores_of.items())[:MOST]:
        keys_of.setdefault(runs, {}).setdefault(", ".join(scores), []).append(key)
    for runs, keys in keys_of.items():
        for scores, listed in keys.items():
            lines += [f"{scores}:", *listed]
        lines.append(runs)
    if len(scores_of) > MOST:
        lines.append(f"and {len(scores_of) - MOST} more")
    keys = ",".join(dict.fromkeys(difference.key for difference in found))
    lines.append("One table for each protocol: by_protocol=true")
    lines.append(f"All in one table, if the differences do not matter: 'ignore=[{keys}]'")
    return "\n".join(lines)


def _names(runs: Sequence[Run], groups: Sequence[Group]) -> str:
    """Return the names of the groups of some runs, the first three of many."""
    names = [group.name for group in groups if any(run in group.runs for run in runs)]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _told_apart(part: Sequence[Run], runs: Sequence[Run], ignore: Sequence[str]) -> str:
    """Return the heading of one of several tables: the protocol values that distinguish it."""
    values = {
        difference.key: value
        for difference in differences(runs, ignore)
        for value, those in difference.values.items()
        if any(run in those for run in part)
    }
    return " ".join(f"{label(key)}={label(value)}" for key, value in values.items())


def _notes(runs: Sequence[Run], groups: Sequence[Group], ignore: Sequence[str]) -> Iterator[str]:
    """Yield the notes below the table."""
    if any(len(group.runs) > 1 for group in groups):
        yield "± is the standard deviation over the seeds."
    scored = [run for group in groups for run in group.runs]
    if floors := _floors(scored):
        yield textwrap.fill(
            f"The same scores of real images: {', '.join(floors)}", 80, break_long_words=False,
            break_on_hyphens=False,
        )  # fmt: skip
    apart = {difference.key for difference in differences(scored, ignore)}
    if mixed := {difference.key: 0 for difference in differences(scored)}.keys() - apart:
        yield f"These keys differ, but are ignored: {', '.join(map(label, sorted(mixed)))}"
    for group in groups:
        for run in group.repeated:
            counted = next(other for other in group.runs if other.seed == run.seed)
            yield f"Not counted: {run.title} has the same config and seed as {counted.title}"
    if missing := [run for run in runs if run.problem is not None]:
        yield "Not in the table:\n" + _listed(missing)


def _floors(runs: Sequence[Run]) -> list[str]:
    """Return the name and the floor of each score that has one; "A to B" if runs differ."""
    found: dict[str, set[float]] = {}
    for run in runs:
        for name, entry in run.scores.items():
            if "floor" in entry:
                found.setdefault(name, set()).add(entry["floor"])
    ends = {name: sorted({min(values), max(values)}) for name, values in found.items()}
    return [
        f"{label(name)} {' to '.join(f'{end:.4g}' for end in both)}" for name, both in ends.items()
    ]


def _listed(runs: Sequence[Run]) -> str:
    return "\n".join(f"  {run.title}: {run.problem}" for run in runs)


def _write(path: Path, rows: Sequence[Row], ignore: Sequence[str]) -> None:
    """Write one line for each group and score, with the config values that name the group."""
    keys = list(dict.fromkeys(key for row in rows for key in row.group.values))
    try:
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([*keys, "score", "mean", "std", "num_seeds", "runs", "protocol"])
            for row in rows:
                named = [row.group.values.get(key, "") for key in keys]
                for score, summary in row.scores.items():
                    std = "" if summary.std is None else summary.std
                    folders = " ".join(run.title for run in summary.runs)
                    how = json.dumps(protocol(summary.runs[0].scores[score], ignore))
                    writer.writerow(
                        [*named, score, summary.mean, std, len(summary.runs), folders, how]
                    )
    except OSError as error:
        raise UserError(f"to={path}: cannot be written ({error.strerror}).") from error
    say(f"Written: {printable(path)}")


def _draw(rows: Sequence[Row], path: Path) -> None:
    """Draw a score against the swept values: the common objective, or else the first score."""
    score = objective_of(rows) or next(iter(rows[0].scores))
    if not (found := panels(rows, score=score)):
        return
    try:
        write_picture(found, path, score=score)
    except (OSError, ValueError) as error:  # such as a missing folder or an unknown ending
        raise UserError(f"picture={path}: cannot be written ({error}).") from error
    against = ", ".join(label(panel.key) for panel in found)
    say(f"{label(score)} against {against}: {printable(path)}")
