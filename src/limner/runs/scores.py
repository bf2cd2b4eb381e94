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
from limner.files.printable import printable

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
        baselines = entry.get("baselines", {})
        if not isinstance(baselines, Mapping):
            raise NotPlainError(f"the baselines of {name} are no mapping of names to numbers")
        for baseline, value in baselines.items():
            _refuse_no_number(value, f"the baseline {baseline} of {name}")
    return dict(content)


def scores_tables(entries: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """Return one table or two: scores of sets of images, and scores of single pictures.

    The second table has a row for the model and a row for each baseline.
    """
    single = {n: entry for n, entry in entries.items() if "num_pictures" in entry["protocol"]}
    others = {name: entry for name, entry in entries.items() if name not in single}
    tables = [scores_table(others)] if others or not single else []
    return [*tables, _table_of_pictures(single)] if single else tables


def scores_table(entries: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a table of the entries of a scores.json: name, value with deviation, and images.

    If some scores have a floor, a column shows these scores of real images.
    """
    has_floor = any("floor" in entry for entry in entries.values())
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("score", overflow="fold")
    table.add_column("value", justify="right")
    if has_floor:
        table.add_column("real images", justify="right")
    table.add_column("of")
    for name, entry in entries.items():
        value = _number(entry["value"])
        if "std" in entry:
            value += f" ± {entry['std']:.2g}"
        images = _images(entry["protocol"])
        floor = [Text(_number(entry["floor"]) if "floor" in entry else "")] if has_floor else []
        table.add_row(Text(printable(name)), Text(value), *floor, Text(printable(images)))
    return table


def _table_of_pictures(entries: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a table with a column for each score, and the baselines below the model."""
    how = next(iter(entries.values()))["protocol"]
    split = f"{how['split']} " if how.get("split", "all") != "all" else ""
    facts = [f"{how['num_pictures']} {split}pictures", str(how.get("colour", ""))]
    facts += [f"border {how['border']}"] if how.get("border") else []
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, title_justify="left",
        title=Text(printable(", ".join(facts))), title_style="",
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
    parts = []
    if "num_samples" in protocol:
        parts.append(f"{protocol['num_samples']:,} samples")
    if "reference" in protocol:
        parts.append(f"{protocol['reference']['num_images']:,} real")
    if "split" in protocol:
        parts.append(f"{protocol['split']} images")
    return ", ".join(parts)
