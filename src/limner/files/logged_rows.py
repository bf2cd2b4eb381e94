"""Reading of the rows of a `metrics.csv`, which may be damaged.

The file has a line of column names, which starts with `update`, and then a line of numbers for
each update. A line is complete if it ends with a line feed, has one field for each column, and
contains only numbers. Each line is checked by itself, so that damage does not affect later lines.
"""

__all__ = ["Logged", "read_rows"]

import csv
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

ROW = re.compile(
    rb"(?:0|[1-9][0-9]{0,17})"
    rb"(?:,(?:-?(?:[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|inf|nan))?)*\r?\n"
)
"""Pattern of a row: an update, and numbers as Python writes them; fields may be empty."""
NUMBER = re.compile(r"\s*[-+]?(?:[0-9.][0-9.eE+-]*|inf|nan)?\s*")
BOM = b"\xef\xbb\xbf"
UPDATE = "update"


class Logged(NamedTuple):
    """Content of a `metrics.csv`.

    Args:
        columns: Names of the columns. An unreadable name is replaced by a name such as `column_2`,
            where 2 is the place of the column, counted from 0.
        rows: Complete rows, sorted by update; each update occurs once.
        lost: Short descriptions of the lost parts; empty for a file without damage.
    """

    columns: list[str]
    rows: list[dict[str, str]]
    lost: list[str]


class _Row(NamedTuple):
    line: int
    update: int
    values: list[str]


def read_rows(
    content: bytes, *, up_to: int | None = None, columns: Sequence[str] | None = None
) -> Logged:
    """Return the complete rows of a file.

    The updates of the rows must increase, so a row that breaks the order counts as damaged. If two
    rows contradict each other and either of them may be the damaged row, both are kept.

    Args:
        content: Bytes of the file.
        up_to: Last update whose row to return; None for all rows.
        columns: Names of the columns; None to read them from the first line.
    """
    lines = content.removeprefix(BOM).splitlines(keepends=True)
    named = bool(lines) and ROW.fullmatch(lines[0]) is None
    rows, broken = [], []
    for number, line in enumerate(lines[named:], 1 + named):
        if ROW.fullmatch(line):
            values = line.decode("ascii").rstrip("\r\n").split(",")
            rows.append(_Row(number, int(values[0]), values))
        elif line not in (b"\r\n", b"\n"):
            broken.append(number)
    names = _names(lines[0]) if named else []
    known = list(columns) if columns is not None else _columns(names, rows)
    fitting = [row for row in rows if len(row.values) == len(known)]
    wanted = [row for row in fitting if up_to is None or row.update <= up_to]
    kept = _in_order(wanted)
    broken += [row.line for row in rows if len(row.values) != len(known)]
    broken += {row.line for row in wanted} - {row.line for row in kept}
    torn = ["the names of columns"] if lines and names != known else []
    found = [dict(zip(known, row.values, strict=True)) for row in kept]
    return Logged(known, found, [*torn, *_spans(sorted(broken))])


def _names(line: bytes) -> list[str]:
    """Return the column names in the first line, with "" for each unreadable name."""
    text = line.decode(errors="replace").rstrip("\r\n")
    try:
        (names,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        return []
    seen, readable = set(), []
    for name in names:
        fits = "\ufffd" not in name and name.isprintable() and not NUMBER.fullmatch(name)
        readable.append(name if fits and name not in seen else "")
        seen.add(name)
    return readable if line.endswith(b"\n") else []


def _columns(names: Sequence[str], rows: Sequence[_Row]) -> list[str]:
    """Return the columns of a file, with new names for columns whose names are lost.

    The number of fields in the first line may differ from the number in the rows. If two or more
    rows have the same number of fields, the first line counts as damaged; a single row that
    differs from the first line counts as damaged itself.
    """
    widths = Counter(len(row.values) for row in rows)
    width, count = widths.most_common(1)[0] if widths else (1, 0)
    if names and (count < 2 or widths[len(names)] == count):
        width = len(names)
    if len(names) != width or (not rows and names[0] != UPDATE):
        names = [""] * (width if rows else 1)
    columns = [UPDATE]
    for place, name in enumerate(names[1:], 1):
        columns.append(name if name and name not in columns else _unnamed(place, names))
    return columns


def _unnamed(place: int, taken: Sequence[str]) -> str:
    name = f"column_{place}"
    while name in taken:
        name += "_"
    return name


def _in_order(rows: list[_Row]) -> list[_Row]:
    """Return the rows of the longest series of increasing updates.

    If there are several longest series, the result has the rows of all of them, sorted, with one
    row for each update.
    """
    updates = [row.update for row in rows]
    if all(a < b for a, b in pairwise(updates)):
        return rows
    before = _longest(updates)
    after = _longest([-update for update in reversed(updates)])[::-1]
    longest = max(before)
    kept = {
        row.update: row
        for row, a, b in zip(rows, before, after, strict=True)
        if a + b - 1 == longest
    }
    return [kept[update] for update in sorted(kept)]


def _longest(values: Sequence[int]) -> list[int]:
    """Return the length of the longest increasing series that ends at each value."""
    ends: list[int] = []
    lengths = []
    for value in values:
        place = bisect_left(ends, value)
        ends[place : place + 1] = [value]
        lengths.append(place + 1)
    return lengths


def _spans(numbers: Sequence[int]) -> list[str]:
    """Return sorted line numbers as texts such as `line 3` and `lines 5 to 7`."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return [f"line {a}" if a == b else f"lines {a} to {b}" for a, b in spans]
