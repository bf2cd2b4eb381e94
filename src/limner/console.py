"""What a person at the terminal reads: one line a message, and a table at the end."""

__all__ = ["ConsoleHandler", "scores_table"]

import logging
from collections.abc import Mapping

from rich import get_console
from rich.table import Table


class ConsoleHandler(logging.Handler):
    """Prints log records through rich's console, so that they stand above a running bar."""

    def emit(self, record: logging.LogRecord) -> None:
        style = "yellow" if record.levelno >= logging.WARNING else None
        get_console().print(
            self.format(record), style=style, soft_wrap=True, markup=False, highlight=False
        )


def scores_table(values: Mapping[str, float], notes: Mapping[str, str]) -> Table:
    """A table of values, each with a note on how it was made."""
    table = Table(title="Scores", title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("score")
    table.add_column("value", justify="right")
    table.add_column("how", overflow="fold")
    for name, value in values.items():
        table.add_row(name, f"{value:.4g}", notes.get(name, ""))
    return table
