"""What a person at the terminal reads: one line a message, and a table at the end."""

__all__ = ["ConsoleHandler", "FirstProcess", "is_first_process", "scores_table"]

import logging
import os
from collections.abc import Mapping
from typing import Any

from rich import box, get_console
from rich.table import Table


def is_first_process() -> bool:
    """Whether this is the process of a run that speaks: rank 0, or the only one."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


class FirstProcess(logging.Filter):
    """Lets no message of another process pass, so that all is said once."""

    def filter(self, record: logging.LogRecord) -> bool:
        return is_first_process()


class ConsoleHandler(logging.Handler):
    """Prints log records through rich's console, so that they stand above a running bar."""

    def emit(self, record: logging.LogRecord) -> None:
        style = "yellow" if record.levelno >= logging.WARNING else None
        get_console().print(
            self.format(record), style=style, soft_wrap=True, markup=False, highlight=False
        )


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
        table.add_row(name, value, _images(entry["protocol"]))
    return table


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
