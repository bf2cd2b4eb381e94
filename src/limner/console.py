"""What a person at the terminal reads: messages of one line, tables, and bars of progress."""

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
from collections.abc import Callable, Mapping
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
"""Between two drawings of a bar."""
RECENT_SECONDS = 30
"""Over which a bar measures the speed that it shows; the time left is from the mean of all."""


class FirstProcess(logging.Filter):
    """Lets no message of another process pass, so that all is said once."""

    def filter(self, record: logging.LogRecord) -> bool:
        return is_first_process()


def say(text: str, *, style: str | None = None) -> None:
    """Print a text as it is: no markup in it takes effect, and control characters are escaped.

    Args:
        text: One line or several. What comes from a file and must not break a line has gone
            through `printable` before.
        style: Of rich's, such as "bold".
    """
    get_console().print(Text(printable(text, keep_newlines=True), style=style or ""),
                        soft_wrap=True)  # fmt: skip


def escape_errors() -> None:
    """Have Python print warnings, and exceptions that nobody catches, with escapes."""

    def show(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        lines = "".join(traceback.format_exception(kind, error, trace))
        print(printable(lines, keep_newlines=True), end="", file=sys.stderr)

    sys.excepthook = show
    usual = warnings.formatwarning
    warnings.formatwarning = lambda *of, **also: printable(usual(*of, **also), keep_newlines=True)


def escaped(formatter: Callable[[logging.LogRecord], str], record: logging.LogRecord) -> str:
    """A record as text in which nothing can steer a terminal.

    Line feeds of the message itself, of an exception and of a traceback stay; those in texts and
    paths that the message takes as arguments (names of files, values) are escaped.
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
    """Prints log records through rich's console, so that they stand above a running bar.

    Where nobody reads any more, as when a terminal was closed, there is silence.
    """

    def emit(self, record: logging.LogRecord) -> None:
        style = "yellow" if record.levelno >= logging.WARNING else None
        with contextlib.suppress(OSError, SystemExit):  # which rich raises for a broken pipe
            say(self.format(record), style=style)

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format, record)


class FileHandler(logging.FileHandler):
    """Writes log records to a file; that the disk refuses them is said once, on the console."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_said = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # it opens the file now
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format, record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._is_said:
            self._is_said = True
            text = f"{self.baseFilename} cannot be written ({error.strerror or error})."
            with contextlib.suppress(OSError, SystemExit):
                say(text, style="yellow")


def print_all(table: Table) -> None:
    """Print a table; where nobody reads any more, there is silence."""
    with contextlib.suppress(OSError, SystemExit):  # which rich raises for a broken pipe
        get_console().print(table)


def quieten() -> None:
    """Hides what the libraries say and a user of limner cannot act on."""
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*is smaller than the logging interval.*",
        ".*LeafSpec.*",
        ".*treespec.*",
        ".*You defined a `validation_step`.*",
        ".*passed in a `val_dataloader`.*",
        ".*in eval mode at the start of training.*",  # the EMA is meant to be
        ".*It is recommended to use `self.log.*sync_dist=True.*",  # every rank has the sum already
        ".*Metric `InceptionScore` will save.*",
        ".*Total length of `list` across ranks is zero.*",  # no validation images
        ".*this fit will run with no optimizer.*",  # a mixture is fitted at once
        ".*The `srun` command is available.*",  # limner.launch.environment says so
    ):
        warnings.filterwarnings("ignore", message)


def shown(path: Path) -> str:
    """A path as short as it can be typed from here, with control characters escaped."""
    return printable(os.path.relpath(path) if path.is_relative_to(Path.cwd()) else path)


class Bar:
    """Shows how far something is: a bar on a terminal or in a notebook, else a line now and then.

    Description, count, total, speed and time left are always whole. If the width is not enough,
    first the bar becomes shorter, then the values get a line of their own with fewer digits, then
    the last values are left out. Without a terminal, the first line comes after 3 seconds, and the
    time between two lines grows to a minute. Several bars at once stand below one another. In
    other processes than the first, a bar shows nothing.

    Args:
        description: What is done, such as "Training".
        total: The count at the end; None if it is not known.
        unit: What is counted, in the plural.
        completed: The count at the start.
    """

    _open: ClassVar[list["Bar"]] = []
    """The bars between `start` and `stop`."""

    def __init__(
        self, description: str, *, total: float | None, unit: str = "updates", completed: int = 0
    ) -> None:
        total = None if total is None or math.isinf(total) else total
        self._text = ProgressText(printable(description), completed, total, unit)
        self._display: Lines | Notebook | Terminal | None = None
        self._start = self._next = 0.0
        self._first: tuple[float, int] | None = None
        self._recent: deque[tuple[float, int]] = deque()

    def __enter__(self) -> "Bar":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Show the bar; `with` does so too."""
        Bar._open.append(self)
        self._start = time.monotonic()
        self._recent.append((self._start, self._text.completed))
        self._display = self._new_display() if is_first_process() else None
        self._show(is_last=False)

    def update(self, completed: int, values: Mapping[str, float] | None = None) -> None:
        """Show a count and values, at most every 0.1 seconds; between, only remember them.

        Args:
            completed: The count now.
            values: Log key to number; None keeps the former ones.
        """
        self._text.completed = completed
        if values is not None:
            self._text.values = values
        now = time.monotonic()
        if self._first is None:
            self._first = (now, completed)  # the first update may have taken long
        if now >= self._next:
            self._next = now + SECONDS
            self._recent.append((now, completed))
            while len(self._recent) > 2 and self._recent[0][0] < now - RECENT_SECONDS:
                self._recent.popleft()
            self._show(is_last=False)

    def stop(self) -> None:
        """Show the last count, and end the bar; a second call does nothing."""
        if self not in Bar._open:
            return
        Bar._open.remove(self)
        self._show(is_last=True)
        for bar in Bar._open:  # they waited
            bar._recent.clear()
            bar._recent.append((time.monotonic(), bar._text.completed))

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
        now, text = time.monotonic(), self._text
        text.seconds = now - self._start
        text.per_second = _speed(*self._recent[0], now, text.completed) or text.per_second
        if text.total is not None and self._first is not None:
            mean = _speed(*self._first, now, text.completed) or text.per_second
            text.left = (text.total - text.completed) / mean if mean else None
        try:
            self._display.show(text, is_last=is_last)
        except (OSError, SystemExit):  # nobody reads any more; the latter is rich's
            self._display = None


def _speed(start: float, first: int, end: float, last: int) -> float | None:
    """Return the counts per second between two times; None if there were none."""
    return (last - first) / (end - start) if last > first and end > start else None
