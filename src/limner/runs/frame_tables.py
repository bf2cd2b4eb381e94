"""Tables of the scores of predicted frames, from scores.json as untrusted data."""

__all__ = ["frame_tables", "has_steps", "refuse_steps"]

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from limner.files.plain import NotPlainError
from limner.files.printable import counted, printable

MODEL = "model"
MOST_COLUMNS = 10  # largest number of steps in a table


def has_steps(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry of scores.json has the means of each step ahead."""
    return isinstance(entry.get("steps"), Mapping)


def refuse_steps(entry: Mapping[str, Any], name: str) -> None:
    """Raise NotPlainError if the steps of an entry are no lists of as many numbers."""
    if "steps" not in entry:
        return
    steps, lengths = entry["steps"], set()
    if not isinstance(steps, Mapping) or MODEL not in steps:
        raise NotPlainError(f"the steps of {name} are no mapping with the model")
    for values in steps.values():
        numbers = isinstance(values, list) and all(
            isinstance(each, float) or type(each) is int for each in values
        )
        if not numbers or not values:
            raise NotPlainError(f"the steps of {name} are no lists of numbers")
        lengths.add(len(values))
    if len(lengths) > 1:
        raise NotPlainError(f"the steps of {name} have different lengths")


def frame_tables(entries: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """Return a table of the mean scores, and a table of the first score at each step ahead.

    Each table has a row for the model and a row for each baseline.

    Args:
        entries: Entries of scores.json that all have steps, at least one.
    """
    first = next(iter(entries))
    how, steps = entries[first]["protocol"], entries[first]["steps"]
    number, num_steps = how.get("num_sequences", "?"), len(steps[MODEL])
    split = f"{how['split']} " if isinstance(how.get("split"), str) else ""
    about = f"? {split}sequences"
    if isinstance(number, int):
        about = counted(number, f"{split}sequence")
    title = f"{about}, mean over {counted(num_steps, 'step')}"
    means = _table(printable(title), [printable(name) for name in entries])
    for name in dict.fromkeys(name for entry in entries.values() for name in entry["steps"]):
        values = [entry["steps"].get(name) for entry in entries.values()]
        means.add_row(_label(name), *("" if v is None else _mean(v) for v in values))
    shown = _columns(len(steps[MODEL]))
    by_step = _table(f"{printable(first)} at each step ahead", [f"+{i + 1}" for i in shown])
    for name, values in steps.items():
        by_step.add_row(Text(printable(name)), *(f"{values[i]:.3g}" for i in shown))
    return [means, by_step]


def _table(title: str, columns: list[str]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, title_justify="left",
        title=Text(title), title_style="", min_width=min(len(title), 76),
    )  # fmt: skip
    table.add_column("")
    for name in columns:
        table.add_column(Text(name), justify="right")
    return table


def _label(name: str) -> Text:
    return Text("this model" if name == MODEL else f"{printable(name)} frame")


def _mean(values: list[float]) -> str:
    return f"{sum(values) / len(values):.4g}"


def _columns(number: int) -> list[int]:
    """Return the steps that are shown: all, or 10 with the first and the last among them."""
    if number <= MOST_COLUMNS:
        return list(range(number))
    return [round(i * (number - 1) / (MOST_COLUMNS - 1)) for i in range(MOST_COLUMNS)]
