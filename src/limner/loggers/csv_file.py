"""`metrics.csv`: all that a run has logged, in a file that every program reads."""

__all__ = ["CSVLogger"]

import csv
import io
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only


class CSVLogger(Logger):
    """`metrics.csv` in the run folder: a row for each update at which something was logged.

    After a resume the rows of earlier updates stay, and those of updates that are done again are
    replaced (Lightning's own logger deletes the file). A last line that is not whole, as a full
    disk or a power cut leaves it, is dropped. Rows that cannot be written are kept until they can.

    Args:
        folder: The run folder.
    """

    name, version = "csv", ""

    def __init__(self, *, folder: str) -> None:
        super().__init__()
        self.path = Path(folder, "metrics.csv")
        self._columns: list[str] = ["update"]
        self._row: dict[str, Any] = {}
        self._start: int | None = None  # of the newest row in the file, once it is there
        self._changed = False
        self._waiting: list[dict[str, Any]] = []  # older rows that could not be written
        self._size = 0  # of the file, up to the last whole row that stays as it is
        self._stays: int | None = None  # the last update whose row stays; None until it is known
        self._opened = False

    def go_on_from(self, update: int) -> None:
        """To be called first by a run that has been here before: the rows up to `update` stay."""
        self._stays = update

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if self._stays is None:
            self._stays = step - 1
        try:
            if not self._opened:
                self._open()
            if self._row.get("update") != step:
                self.save()
        finally:  # whatever the disk says, the values are here
            if self._row.get("update") != step:
                self._put_aside()
                self._row = {"update": step}
            self._row |= metrics
            self._changed = True

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """config.yaml has them."""

    @rank_zero_only
    def save(self) -> None:
        """Writes the newest row, in place of itself if it was written before, and all before it.

        Raises:
            OSError: If the file cannot be written; nothing is lost then.
        """
        if not self._opened and self._stays is not None:
            self._open()
        if not self._changed and not self._waiting:
            return
        rows = [*self._waiting, self._row]
        new = [name for name in dict.fromkeys(key for row in rows for key in row)
               if name not in self._columns]  # fmt: skip
        if new or self._start is not None or not self._is_there():
            before = self._read()[1]
            self._rewrite([*self._columns, *new], [*before, *rows])
        else:
            self._append(rows)
        self._waiting, self._changed = [], False

    @rank_zero_only
    def sync(self) -> None:
        """Has all that was logged outlast a power cut."""
        self.save()
        if self.path.exists():
            with open(self.path, "rb+") as file:
                os.fsync(file.fileno())

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    def _put_aside(self) -> None:
        """Makes room for a row of another update."""
        if self._changed:
            self._waiting.append(self._row)
            self._size = self._size if self._start is None else self._start
        self._start = None

    def _open(self) -> None:
        """Takes over the rows of an earlier start, of which the last may get more values."""
        self._size = self.path.stat().st_size if self.path.exists() else 0
        columns, found = self._read()
        rows = [row for row in found if int(row["update"]) <= self._stays]
        self._columns = columns
        if self._size:
            self._rewrite(columns, rows)
        if rows and not self._row and int(rows[-1]["update"]) == self._stays:
            self._row = {name: value for name, value in rows[-1].items() if value != ""}
            self._row["update"] = self._stays
        else:
            self._start = None
        self._opened = True

    def _read(self) -> tuple[list[str], list[dict[str, str]]]:
        """The columns and the whole rows of the file, without the newest if that is to change."""
        if not self.path.exists():
            return self._columns, []
        with open(self.path, "rb") as file:
            content = file.read(self._size if self._start is None else self._start)
        lines = content.splitlines(keepends=True)
        columns = _fields(lines[0]) if lines else []
        if columns[:1] != ["update"]:
            return self._columns, []
        rows = []
        for values in map(_fields, lines[1:]):
            if len(values) != len(columns) or not values[0].isdecimal():
                break  # what follows cannot be trusted either
            rows.append(dict(zip(columns, values, strict=True)))
        return columns, rows

    def _is_there(self) -> bool:
        """Whether the file is the one that was written last, with or without half a row more."""
        return self.path.is_file() and self.path.stat().st_size >= self._size

    def _append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        parts = [_line(self._columns, row) for row in rows]
        with open(self.path, "rb+") as file:
            file.truncate(self._size)  # takes away what a failed attempt has left
            file.seek(self._size)
            file.write(b"".join(parts))
        self._size += sum(map(len, parts))
        self._start = self._size - len(parts[-1])

    def _rewrite(self, columns: list[str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Puts a new file in the place of the old one, in one step."""
        parts = [_line(columns, dict(zip(columns, columns, strict=True)))]
        parts += [_line(columns, row) for row in rows]
        partial = self.path.with_suffix(".partial")
        try:
            with open(partial, "wb") as file:
                file.write(b"".join(parts))
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, self.path)
        except OSError:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        self._columns, self._size = columns, sum(map(len, parts))
        self._start = self._size - len(parts[-1])


def _line(columns: Sequence[str], row: Mapping[str, Any]) -> bytes:
    text = io.StringIO(newline="")
    csv.DictWriter(text, columns).writerow(row)
    return text.getvalue().encode()


def _fields(line: bytes) -> list[str]:
    """The values of a line, none of one that is not whole."""
    return next(csv.reader([line.decode(errors="replace")])) if line.endswith(b"\n") else []
