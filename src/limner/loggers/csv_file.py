"""Logger that writes all values of a run to `metrics.csv`."""

__all__ = ["CSVLogger"]

import csv
import functools
import io
import itertools
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from limner.files.atomic import atomic_file, sync_file
from limner.files.logged_rows import Logged, read_rows
from limner.files.printable import printable

log = logging.getLogger(__name__)

SHOWN = 5  # damaged places that a message lists


class CSVLogger(Logger):
    """Logger that writes `metrics.csv` in the run folder: one row for each logged update.

    After a resume, the rows of earlier updates stay, and the rows of repeated updates are replaced
    (Lightning's own logger deletes the file). If the file is damaged, each complete row stays, a
    warning lists the lost lines, and the damaged file is kept as `metrics.damaged.csv`. Rows that
    cannot be written stay in memory until they can be written.

    Args:
        folder: Run folder.
    """

    name, version = "csv", ""

    def __init__(self, *, folder: str) -> None:
        super().__init__()
        self.path = Path(folder, "metrics.csv")
        self._columns: list[str] = ["update"]
        self._row: dict[str, Any] = {}
        self._start: int | None = None  # position of the newest row; None if it is not in the file
        self._changed = False
        self._waiting: list[dict[str, Any]] = []  # older rows that could not be written
        self._size = 0  # bytes of the file up to the end of its last complete row
        self._stays: int | None = None  # last update whose row stays; None while it is unknown
        self._opened = False
        self._resumes = False

    def go_on_from(self, update: int) -> None:
        """Keep the rows up to `update`; a resumed run calls this before it logs."""
        self._stays, self._resumes = update, True

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if self._stays is None:
            self._stays = step - 1
        try:
            if not self._opened:
                self._open()
            if self._row.get("update") != step:
                self.save()
        finally:  # keep the values in memory even if writing failed
            if self._row.get("update") != step:
                self._put_aside()
                self._row = {"update": step}
            self._row |= {_name(key): value for key, value in metrics.items()}
            self._changed = True

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Write nothing, since config.yaml has the hyperparameters."""

    @rank_zero_only
    def save(self) -> None:
        """Write the newest row and all waiting rows; replace the newest row if it is in the file.

        Raises:
            OSError: If the file cannot be written; the rows stay in memory.
        """
        if not self._opened and self._stays is not None:
            self._open()
        if not self._changed and not self._waiting:
            return
        rows = [*self._waiting, self._row]
        new = [name for name in dict.fromkeys(key for row in rows for key in row)
               if name not in self._columns]  # fmt: skip
        if new or not self._size or self._start is not None or not self._is_there():
            before = self._before()
            self._rewrite([*self._columns, *new], [*before.rows, *rows], lost=before.lost)
        else:
            self._append(rows)
        self._waiting, self._changed = [], False

    @rank_zero_only
    def sync(self) -> None:
        """Sync all logged values to the disk; create the file if nothing was logged."""
        self.save()
        if not self._size and not os.path.lexists(self.path):
            self._rewrite(self._columns, [], lost=[])
            self._start = None
        elif self.path.exists():
            with open(self.path, "rb+") as file:
                sync_file(file)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    def _put_aside(self) -> None:
        """Prepare for a row of another update; keep an unwritten newest row in memory."""
        if self._changed:
            self._waiting.append(self._row)
            self._size = self._size if self._start is None else self._start
        self._start = None

    def _open(self) -> None:
        """Read the rows of an earlier start of the run; its last row may get more values."""
        if os.path.lexists(self.path) and not self.path.is_file():
            raise OSError(f"{self.path} is no regular file")
        content = self.path.read_bytes() if self.path.exists() else b""
        found = read_rows(content, up_to=self._stays)
        if content:
            self._rewrite(found.columns, found.rows, lost=found.lost)
        elif self._resumes and self._stays > 0:
            log.warning(
                "%s was %s: what was logged up to update %d is not in it.",
                self.path, "empty" if self.path.exists() else "missing", self._stays,
            )  # fmt: skip
        if found.rows and not self._row and int(found.rows[-1]["update"]) == self._stays:
            self._row = {name: value for name, value in found.rows[-1].items() if value != ""}
            self._row["update"] = self._stays
        else:
            self._start = None
        self._opened = True

    def _before(self) -> Logged:
        """Return the rows that this process has written, without a row that will be replaced."""
        size = self._size if self._start is None else self._start
        try:
            with open(self.path, "rb") as file:
                content = file.read(size)
        except FileNotFoundError:
            content = b""
        found = read_rows(content, columns=self._columns)
        cut_off = ["its end" if content else "all of it"] if len(content) < size else []
        return found._replace(lost=[*found.lost, *cut_off])

    def _is_there(self) -> bool:
        """Return whether the file has all written rows; an incomplete row may follow them."""
        return self.path.is_file() and self.path.stat().st_size >= self._size

    def _append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        parts = [_line(self._columns, row) for row in rows]
        with open(self.path, "rb+") as file:
            file.truncate(self._size)  # removes the incomplete row of a failed attempt
            file.seek(self._size)
            file.write(b"".join(parts))
        self._size += sum(map(len, parts))
        self._start = self._size - len(parts[-1])

    def _rewrite(
        self, columns: list[str], rows: Sequence[Mapping[str, Any]], *, lost: Sequence[str]
    ) -> None:
        """Replace the file by a new file in one step.

        Args:
            columns: Names of the columns.
            rows: Rows of the new file.
            lost: Lost parts of the old file. If there are any, the old file is kept under another
                name.
        """
        parts = [_line(columns, dict(zip(columns, columns, strict=True)))]
        parts += [_line(columns, row) for row in rows]
        with atomic_file(self.path, sync=False) as file:
            file.write(b"".join(parts))
            sync_file(file)  # the new file must be on the disk before it replaces a damaged one
            aside = put_aside(self.path) if lost else None
        self._columns, self._size = columns, sum(map(len, parts))
        self._start = self._size - len(parts[-1])
        if lost:
            log.warning(
                "%s was damaged: %d rows are whole and stay in it; lost: %s.%s",
                self.path, len(rows), _shown(lost),
                f" The damaged file is now {aside.name}." if aside is not None else "",
            )  # fmt: skip


def put_aside(path: Path) -> Path | None:
    """Give a damaged file a second name: `metrics.damaged.csv`, `metrics.damaged_2.csv` etc.

    Afterwards the first name may be overwritten.

    Returns:
        The second path; None if there is no damaged file.

    Raises:
        OSError: If the second name cannot be created.
    """
    for number in itertools.count(1):
        kept = path.with_suffix(f".damaged{'' if number == 1 else f'_{number}'}{path.suffix}")
        if not os.path.lexists(kept):
            break
        if path.exists() and kept.exists() and path.samefile(kept):
            return kept  # an earlier attempt created this name and failed afterwards
    try:
        os.link(path, kept)
    except FileNotFoundError:
        return None
    except OSError:  # a file system without links
        path.rename(kept)
    return kept


def _shown(lost: Sequence[str]) -> str:
    more = f" and {len(lost) - SHOWN} more places" if len(lost) > SHOWN else ""
    return ", ".join(lost[:SHOWN]) + more


@functools.cache
def _name(name: str) -> str:
    """Return a column's name without line feeds and other control characters."""
    return printable(name)


def _line(columns: Sequence[str], row: Mapping[str, Any]) -> bytes:
    text = io.StringIO(newline="")
    csv.DictWriter(text, columns).writerow(row)
    return text.getvalue().encode()
