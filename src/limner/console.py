"""What a person at the terminal reads: one line a message, and a table at the end."""

__all__ = [
    "ConsoleHandler", "FileHandler", "FirstProcess", "escape_errors", "print_all", "quieten",
    "say", "scores_table", "shown",
]  # fmt: skip

import contextlib
import copy
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich import box, get_console
from rich.table import Table
from rich.text import Text

from limner.files.printable import printable
from limner.processes import is_first_process

QUIET = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.pytorch.accelerators.cuda",
    "lightning.fabric",
    "lightning.pytorch",
)


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


def scores_table(entries: Mapping[str, Mapping[str, Any]]) -> Table:
    """A table of the entries of a scores.json: name, value with its deviation, and images."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("score")
    table.add_column("value", justify="right")
    table.add_column("of")
    for name, entry in entries.items():
        whole = abs(entry["value"]) >= 1000 and float(entry["value"]).is_integer()
        value = f"{entry['value']:,.0f}" if whole else f"{entry['value']:.4g}"
        if "std" in entry:
            value += f" ± {entry['std']:.2g}"
        images = _images(entry["protocol"])
        table.add_row(Text(printable(name)), Text(value), Text(printable(images)))
    return table


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


def _images(protocol: Mapping[str, Any]) -> str:
    """Which images a score is of, briefly; scores.json has the whole protocol."""
    parts = []
    if "num_samples" in protocol:
        parts.append(f"{protocol['num_samples']:,} samples")
    if "reference" in protocol:
        parts.append(f"{protocol['reference']['num_images']:,} real")
    if "split" in protocol:
        parts.append(f"{protocol['split']} images")
    return ", ".join(parts)
