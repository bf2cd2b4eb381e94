"""Reading of scores.json as untrusted data, and tables of its entries."""

__all__ = ["read_scores", "scores_table", "scores_tables"]

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from limner.files.plain import NotPlainError, read_json, refuse_bulk
from limner.files.printable import counted, printable
from limner.runs.frame_tables import frame_tables, has_steps, refuse_steps

WIDTH = 76
"""Largest number of characters of a title in one line."""
LONGEST_NAME = 30
"""Largest number of characters of a name that a table keeps in one line."""
MAX_BITS = 1000
"""Largest number of bits of an integer; larger integers do not fit a float."""


def read_scores(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return the entries of a scores.json; {} if the file does not exist.

    Each entry has a number `value`, a mapping `protocol` and optionally numbers `std` and `floor`
    and a mapping `baselines` of names to numbers. The numbers may be nan or infinite, since a run
    can produce such scores.

    Raises:
        NotPlainError: If the file does not have this form.
    """
    if not os.path.lexists(path):
        return {}
    content = read_json(path)
    refuse_bulk(content, "it")
    if not isinstance(content, Mapping):
        raise NotPlainError("it is no mapping of names to scores")
    for name, entry in content.items():
        if not isinstance(entry, Mapping) or not isinstance(entry.get("protocol"), Mapping):
            raise NotPlainError(f"{name} is no score with its protocol")
        if not isinstance(entry["protocol"].get("update"), int | None):
            raise NotPlainError(f"the update of {name} is no whole number")
        for key in ("value", "std", "floor"):
            if key == "value" or key in entry:
                _refuse_no_number(entry.get(key), f"the {key} of {name}")
        refuse_steps(entry, name)
        baselines = entry.get("baselines", {})
        if not isinstance(baselines, Mapping):
            raise NotPlainError(f"the baselines of {name} are no mapping of names to numbers")
        for baseline, value in baselines.items():
            _refuse_no_number(value, f"the baseline {baseline} of {name}")
    return dict(content)


def scores_tables(entries: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """Return a table of scores of sets of images, and tables of scores of single pictures.

    A table of single pictures has a row for the model and a row for each baseline. Scores with
    other pictures, or of another direction between two domains, have a table of their own. Scores
    of predicted frames have two tables, see `limner.runs.frame_tables`.
    """
    frames = {name: entry for name, entry in entries.items() if has_steps(entry)}
    entries = {name: entry for name, entry in entries.items() if name not in frames}
    groups: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name, entry in entries.items():
        if _is_of_single_pictures(entry["protocol"]):
            groups.setdefault(_title(entry["protocol"]), {})[name] = entry
    single = {name for group in groups.values() for name in group}
    others = {name: entry for name, entry in entries.items() if name not in single}
    tables = frame_tables(frames) if frames else []
    tables += [scores_table(others)] if others or not (single or frames) else []
    return [*tables, *(_table_of_pictures(title, group) for title, group in groups.items())]


def scores_table(entries: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a table of the entries of a scores.json: name, value with deviation, and images.

    If some scores have baselines, or a floor, columns show these scores too.
    """
    has_floor = any("floor" in entry for entry in entries.values())
    baselines = dict.fromkeys(name for e in entries.values() for name in e.get("baselines", {}))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    are_short = max(map(len, entries), default=0) <= LONGEST_NAME  # "of" is wrapped, not a name
    table.add_column("score", overflow="fold", no_wrap=are_short)
    table.add_column("value", justify="right", no_wrap=are_short)
    for name in baselines:
        table.add_column(Text(printable(name)), justify="right")
    if has_floor:
        table.add_column("real images", justify="right")
    table.add_column("of")
    for name, entry in entries.items():
        value = _number(entry["value"])
        if "std" in entry:
            value += f" ± {entry['std']:.2g}"
        images = _images(entry["protocol"])
        beside = [entry.get("baselines", {}).get(baseline) for baseline in baselines]
        beside += [entry.get("floor")] if has_floor else []
        cells = [Text("" if each is None else _number(each)) for each in beside]
        table.add_row(Text(printable(name)), Text(value), *cells, Text(printable(images)))
    return table


def _is_of_single_pictures(protocol: Mapping[str, Any]) -> bool:
    """Return whether a score is the mean of scores of single pictures, which have a border."""
    return "num_pictures" in protocol and "border" in protocol


def _title(protocol: Mapping[str, Any]) -> str:
    """Return the title of a table of pictures: their number, and what of them is compared."""
    ways = {"ab": "A to B: ", "ba": "B to A: "}
    facts = [f"{ways.get(str(protocol.get('direction')), '')}{_pictures(protocol)}"]
    facts += [f"border {protocol['border']}"] if protocol.get("border") else []
    return printable(", ".join(facts))


def _table_of_pictures(title: str, entries: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a table with a column for each score, and the baselines below the model."""
    how = next(iter(entries.values()))["protocol"]
    if how.get("colour"):
        head, _, rest = title.partition(", ")
        title = ", ".join(filter(None, (head, printable(str(how["colour"])), rest)))
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, title_justify="left",
        title=Text(title), title_style="", min_width=min(len(title), WIDTH),
    )  # fmt: skip
    table.add_column("")
    for name in entries:
        table.add_column(Text(printable(name)), justify="right")
    table.add_row("this model", *(_number(entry["value"]) for entry in entries.values()))
    made = [entry.get("baselines", {}) for entry in entries.values()]
    for baseline in dict.fromkeys(name for each in made for name in each):
        cells = [_number(each[baseline]) if baseline in each else "" for each in made]
        table.add_row(Text(printable(_described(baseline, how))), *cells)
    return table


def _pictures(protocol: Mapping[str, Any]) -> str:
    """Return the number and the split of scored pictures."""
    split = f"{protocol['split']} " if protocol.get("split", "all") != "all" else ""
    return counted(protocol["num_pictures"], f"{split}picture")


def _described(baseline: str, protocol: Mapping[str, Any]) -> str:
    """Return the name of a baseline with its strength, such as "blur (sigma 1)"."""
    strengths = protocol.get("baselines")
    strength = strengths.get(baseline) if isinstance(strengths, Mapping) else None
    if not strength:
        return baseline
    return f"{baseline} ({str(strength).partition(' (')[0]})"


def _number(value: float) -> str:
    whole = abs(value) >= 1000 and float(value).is_integer()
    return f"{value:,.0f}" if whole else f"{value:.4g}"


def _refuse_no_number(value: Any, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotPlainError(f"{name} is no number")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise NotPlainError(f"{name} is too large a number")


def _images(protocol: Mapping[str, Any]) -> str:
    """Return a short description of the images of a score, from its protocol."""
    if "num_pictures" in protocol:
        return counted(protocol["num_pictures"], "picture")
    parts = []
    if "num_samples" in protocol:
        parts.append(counted(protocol["num_samples"], "sample"))
    if "reference" in protocol:
        parts.append(f"{protocol['reference']['num_images']:,} real")
    if "split" in protocol:
        what = "sequences" if "num_frames" in protocol else "images"
        parts.append(f"{protocol['split']} {what}")
    return ", ".join(parts)
