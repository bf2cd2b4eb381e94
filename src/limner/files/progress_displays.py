"""Where progress is shown: lines in a file, a terminal, or the output of a notebook's cell."""

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
    """Prints a line after 3 seconds, then at intervals that grow to a minute.

    Args:
        say: Prints a text and flushes it.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._interval = say, 3.0
        self._next = time.monotonic() + self._interval
        self._said: int | None = None

    def show(self, text: ProgressText, *, is_last: bool) -> None:
        now = time.monotonic()
        is_news = self._said != text.completed
        if now >= self._next or (is_last and self._said is not None and is_news):
            self._interval = min(60.0, 1.5 * self._interval)
            self._next, self._said = now + self._interval, text.completed
            self._say(text.line())


class Notebook:
    """Shows a bar in the output of a cell, and changes it in place."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._next = 0.0

    def show(self, text: ProgressText, *, is_last: bool) -> None:
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
    """Shows all open bars at the bottom of a terminal; what is printed stands above them.

    The last bar stays there when it ends; others are removed.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._texts: list[ProgressText] = []
        self._widths: list[int] = []  # of the rows that are on the terminal
        self._live = self._new_live()

    def show(self, text: ProgressText, *, is_last: bool) -> None:
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
        width = options.max_width - 1  # terminals differ in what follows a full row
        rows = [
            row for text in self._texts for row in text.rows(width, ascii_only=options.ascii_only)
        ]
        self._widths = [row.cell_len for row in rows]
        yield from rows

    def _new_live(self) -> Live:
        return Live(self, console=self._console, auto_refresh=False, vertical_overflow="visible")

    def _remove_wrapped_rows(self) -> None:
        """Remove what the terminal has wrapped into more rows since it has become narrower."""
        num_more = sum((width - 1) // self._console.width for width in self._widths)
        up = [(ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)]
        self._console.control(Control(ControlType.CARRIAGE_RETURN, *(up * num_more)))
