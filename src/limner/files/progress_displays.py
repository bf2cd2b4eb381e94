"""Displays of progress: lines in a file, bars on a terminal, or the output of a notebook cell."""

__all__ = ["Lines", "Notebook", "Terminal"]

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType

from limner.files.progress_text import ProgressText

NOTEBOOK_SECONDS, NOTEBOOK_WIDTH = 0.5, 100


class Lines:
    """Display that prints a line after 3 seconds, then at intervals that grow to a minute.

    Args:
        say: Function that prints a text and flushes the output.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._interval = say, 3.0
        self._next = time.monotonic() + self._interval
        self._said: int | None = None

    def show(self, text: ProgressText, *, is_last: bool) -> None:
        """Print a line if the interval is over or, at the end, if the last line is out of date."""
        now = time.monotonic()
        is_news = self._said != text.completed
        if now >= self._next or (is_last and self._said is not None and is_news):
            self._interval = min(60.0, 1.5 * self._interval)
            self._next, self._said = now + self._interval, text.completed
            self._say(text.line())


class Notebook:
    """Display of a bar in the output of a notebook cell, updated in place."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._next = 0.0

    def show(self, text: ProgressText, *, is_last: bool) -> None:
        """Update the output, at most every half second and at the end."""
        if time.monotonic() < self._next and not is_last:
            return
        self._next = time.monotonic() + NOTEBOOK_SECONDS
        rows = text.rows(NOTEBOOK_WIDTH)
        content = {"text/plain": "\n".join(row.plain for row in rows)}
        if self._handle is None:
            from IPython.display import display

            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)


class Terminal:
    """Display of all open bars at the bottom of a terminal, below other printed text.

    When the outermost bar ends, it stays on the terminal; the other bars are removed at their end.

    Args:
        console: Console of rich that writes to the terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._texts: list[ProgressText] = []
        self._widths: list[int] = []  # widths of the rows on the terminal
        self._live = self._new_live()

    def show(self, text: ProgressText, *, is_last: bool) -> None:
        """Draw all open bars; remove the bar of `text` if it has ended and others are open."""
        others = [other for other in self._texts if other is not text]
        self._texts = others if is_last and others else [*others, text]
        try:
            self._live.start()
            self._remove_wrapped_rows()
            self._live.refresh()
        finally:
            if is_last and not others:
                self._live.stop()
                self._texts, self._widths, self._live = [], [], self._new_live()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width - 1  # terminals behave differently after a full row
        rows = [
            row for text in self._texts for row in text.rows(width, ascii_only=options.ascii_only)
        ]
        self._widths = [row.cell_len for row in rows]
        yield from rows

    def _new_live(self) -> Live:
        return Live(self, console=self._console, auto_refresh=False, vertical_overflow="visible")

    def _remove_wrapped_rows(self) -> None:
        """Remove additional rows into which the terminal has wrapped bars after a resize."""
        num_more = sum((width - 1) // self._console.width for width in self._widths)
        up = [(ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)]
        self._console.control(Control(ControlType.CARRIAGE_RETURN, *(up * num_more)))
