"""Output for a person at a terminal: messages, tables and progress bars."""

__all__ = [
    "Bar", "ConsoleHandler", "FileHandler", "FirstProcess", "escape_errors", "print_all",
    "quieten", "say", "shown",
]  # fmt: skip

import contextlib
import copy
import logging
import math
import os
import sys
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from rich import get_console
from rich.table import Table
from rich.text import Text

from limner.files.printable import printable
from limner.files.progress_displays import Lines, Notebook, Terminal
from limner.files.progress_text import ProgressText
from limner.processes import is_first_process

QUIET = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.pytorch.accelerators.cuda",
    "lightning.fabric",
    "lightning.pytorch",
)
SECONDS = 0.1
"""Seconds between two drawings of a bar."""
WITHIN_SECONDS = 1.0
"""Seconds before a bar within another bar is shown, so that short bars do not flicker."""
RECENT_SECONDS = 30
"""Seconds over which a bar measures its speed; the time left follows from the mean speed."""


class FirstProcess(logging.Filter):
    """Filter for the first process only, so that several processes log each message once."""

    def filter(self, record: logging.LogRecord) -> bool:
        return is_first_process()


def say(text: str, *, style: str | None = None) -> None:
    """Print a text without interpreting markup, and with escaped control characters.

    Args:
        text: Text of one or more lines. If a part comes from a file and must not break a line,
            the caller passes that part through `printable` first.
        style: Style of rich, such as "bold".
    """
    get_console().print(Text(printable(text, keep_newlines=True), style=style or ""),
                        soft_wrap=True)  # fmt: skip


def escape_errors() -> None:
    """Escape control characters in Python's warnings and in tracebacks of uncaught exceptions."""

    def show(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        lines = "".join(traceback.format_exception(kind, error, trace))
        print(printable(lines, keep_newlines=True), end="", file=sys.stderr)

    sys.excepthook = show
    usual = warnings.formatwarning
    warnings.formatwarning = lambda *of, **also: printable(usual(*of, **also), keep_newlines=True)


def escaped(formatter: Callable[[logging.LogRecord], str], record: logging.LogRecord) -> str:
    """Return a log record as text with escaped control characters.

    Line feeds of the message itself, of an exception and of a traceback stay. Line feeds in the
    arguments of the message (texts and paths, such as file names and values) are escaped.

    Args:
        formatter: Function that returns the text of a record.
        record: The log record; it is not changed.
    """
    safe = copy.copy(record)
    if isinstance(record.args, Mapping):
        safe.args = {name: _argument(value) for name, value in record.args.items()}
    elif record.args:
        safe.args = tuple(_argument(value) for value in record.args)
    return printable(formatter(safe), keep_newlines=True)


def _argument(value: object) -> object:
    return printable(value) if isinstance(value, str | os.PathLike) else value


class ConsoleHandler(logging.Handler):
    """Handler that prints log records through rich's console, above a running progress bar.

    If the output cannot be written any more, for example because the terminal was closed, the
    handler prints nothing and raises nothing.
    """

    def emit(self, record: logging.LogRecord) -> None:
        style = "yellow" if record.levelno >= logging.WARNING else None
        with contextlib.suppress(OSError, SystemExit):  # rich raises SystemExit for a broken pipe
            say(self.format(record), style=style)

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format, record)


class FileHandler(logging.FileHandler):
    """Handler that writes log records to a file; it prints one warning if writing fails."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_said = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # the file is opened at the first record
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format, record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._is_said:
            self._is_said = True
            with contextlib.suppress(OSError, SystemExit):
                say(f"{self.baseFilename} cannot be written ({error.strerror or error}).",
                    style="yellow")  # fmt: skip


def print_all(tables: Iterable[Table]) -> None:
    """Print tables; do nothing if the output cannot be written any more."""
    with contextlib.suppress(OSError, SystemExit):  # rich raises SystemExit for a broken pipe
        for table in tables:
            get_console().print(table)


def quieten() -> None:
    """Hide messages of libraries that a user of limner cannot act on."""
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*is smaller than the logging interval.*",
        ".*LeafSpec.*",
        ".*treespec.*",
        ".*You defined a `validation_step`.*",
        ".*passed in a `val_dataloader`.*",
        ".*in eval mode at the start of training.*",  # limner intends this for the EMA
        ".*It is recommended to use `self.log.*sync_dist=True.*",  # every rank has the sum
        ".*Metric `InceptionScore` will save.*",
        ".*Total length of `list` across ranks is zero.*",  # no validation images
        ".*this fit will run with no optimizer.*",  # a mixture needs no optimizer
        ".*The `srun` command is available.*",  # limner.launch.environment checks
    ):
        warnings.filterwarnings("ignore", message)


def shown(path: Path) -> str:
    """Return a path as printable text; a path in the current folder becomes relative."""
    return printable(os.path.relpath(path) if path.is_relative_to(Path.cwd()) else path)


Values = Mapping[str, float] | Callable[[], Mapping[str, float]]


class Bar:
    """Progress bar on a terminal or in a notebook; otherwise lines of text at intervals.

    Description, count, total, speed and time left are never shortened. If the width is not enough,
    first the bar becomes shorter. Then the values get a line of their own with fewer digits. Then
    the last values are left out. Without a terminal, the first line is printed after 3 seconds,
    and the time between two lines grows to a minute. A bar within another bar is shown below it,
    after one second. Only the first process of a run shows bars.

    Args:
        description: Name of the work, such as "Training".
        total: Count at the end; None if it is unknown.
        unit: Name of the counted things, in the plural.
        completed: Count at the start.
        counts_inner: Whether the time of bars within this bar counts for its speed.
    """

    _open: ClassVar[list["Bar"]] = []
    """Bars that have started and not stopped."""

    def __init__(
        self,
        description: str,
        *,
        total: float | None,
        unit: str = "updates",
        completed: int = 0,
        counts_inner: bool = False,
    ) -> None:
        total = None if total is None or math.isinf(total) else total
        self._text = ProgressText(printable(description), completed, total, unit)
        self._values: Values = {}
        self._display: Lines | Notebook | Terminal | None = None
        self._start = self._next = self._elsewhere = 0.0
        self._from, self._counts_inner = completed, counts_inner
        self._is_shown = False
        self._first: tuple[float, int] | None = None
        self._recent: deque[tuple[float, int]] = deque()

    def __enter__(self) -> "Bar":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Show the bar; a `with` statement calls this."""
        self._start = time.monotonic()
        self._recent.append((self._start, self._text.completed))
        self._display = self._new_display() if is_first_process() else None
        self._next = self._start + WITHIN_SECONDS
        if not Bar._open:
            self._next = self._start
            self._show(is_last=False)
        Bar._open.append(self)

    def update(self, completed: int, values: Values | None = None) -> None:
        """Set the count and the values; draw them at most every 0.1 seconds.

        Args:
            completed: Current count.
            values: Value of each log key, or a function that returns them and is called when the
                bar is drawn; None keeps the previous values.
        """
        self._text.completed = completed
        if values is not None:
            self._values = values
        now = time.monotonic()
        if self._first is None:
            self._first = (now, completed)  # leaves out the first update, which may be slow
        if now >= self._next:
            self._next = now + SECONDS
            self._recent.append((now, completed))
            while len(self._recent) > 2 and self._recent[0][0] < now - RECENT_SECONDS:
                self._recent.popleft()
            self._show(is_last=False)

    def stop(self) -> None:
        """Show the last count and end the bar; a second call does nothing."""
        if self not in Bar._open:
            return
        Bar._open.remove(self)
        if self._is_shown:
            self._show(is_last=True)
        now = time.monotonic()
        for bar in Bar._open:
            if not bar._counts_inner:  # such a bar made no progress meanwhile
                bar._elsewhere += now - self._start
                bar._recent.clear()
                bar._recent.append((now, bar._text.completed))

    def _new_display(self) -> "Lines | Notebook | Terminal":
        console = get_console()
        if console.is_jupyter and find_spec("IPython"):
            return Notebook()
        if not console.is_interactive or "JPY_PARENT_PID" in os.environ:  # !command in a notebook
            return Lines(say)
        shared = (bar._display for bar in Bar._open if isinstance(bar._display, Terminal))
        return next(shared, None) or Terminal(console)

    def _show(self, *, is_last: bool) -> None:
        if self._display is None:
            return
        now, text, self._is_shown = time.monotonic(), self._text, True
        text.values = self._values() if callable(self._values) else self._values
        text.seconds = now - self._start
        text.per_second = _speed(*self._recent[0], now, text.completed) or text.per_second
        if is_last:  # the mean speed, since the time since the start stands beside it
            start = self._start + self._elsewhere
            text.per_second = _speed(start, self._from, now, text.completed) or text.per_second
        if text.total is not None and self._first is not None:
            mean = _speed(*self._first, now, text.completed) or text.per_second
            text.left = (text.total - text.completed) / mean if mean else None
        try:
            self._display.show(text, is_last=is_last)
        except (OSError, SystemExit):  # the output is closed; rich raises SystemExit
            self._display = None


def _speed(start: float, first: int, end: float, last: int) -> float | None:
    """Return the mean number of counts per second; None if the count or the time did not grow."""
    return (last - first) / (end - start) if last > first and end > start else None
