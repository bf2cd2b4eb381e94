"""Threads that end a process when another is gone: its run's first process, or its parent."""

__all__ = [
    "ABOVE", "PARENT", "end_silently", "end_with_first_process", "last_words", "stop_with_parent",
]  # fmt: skip

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from limner.processes import is_first_process

FIRST = "LIMNER_FIRST_PROCESS"
"""Environment variable with the id of the first process, which the others inherit."""
PARENT = "LIMNER_PARENT"
"""Environment variable with the id of the process that started a job."""
ABOVE = "what it said of that stands above."
"""End of a line that only points to another process, whose message is the reason."""
SECONDS = 0.5  # between two checks
_last_words: list[Callable[[], str | None]] = []
"""Functions that give a further process a message to print when the first process is gone."""


def end_with_first_process() -> None:
    """End this process of a run when the first process is gone.

    If the first process is killed, the others live on and would wait for its answer for half an
    hour. Call this early in each process. Launchers such as torchrun end their processes
    themselves.
    """
    if is_first_process():
        os.environ[FIRST] = str(os.getpid())
    elif os.environ.get(FIRST) == str(os.getppid()):
        threading.Thread(target=_watch, args=(os.getppid(), _end), daemon=True).start()


def last_words(words: Callable[[], str | None]) -> None:
    """Let a further process print these words, if any, when the first process is gone."""
    _last_words[:] = [words]


def end_silently(*, after: float) -> NoReturn:
    """End a further process without a message; the first process gives the message.

    Args:
        after: Seconds to wait, in which the first process may notice and end this one itself.
    """
    time.sleep(after)
    os._exit(1)


def stop_with_parent() -> None:
    """Let a job save and stop when the sweep or search that started it is gone."""
    if os.environ.get(PARENT) == str(os.getppid()):
        stop = (os.getppid(), os.kill, os.getpid(), signal.SIGTERM)
        threading.Thread(target=_watch, args=stop, daemon=True).start()


def _end() -> None:
    for words in _last_words:
        if (said := words()) is not None:
            print(f"limner: {said}", file=sys.stderr, flush=True)
    os._exit(1)


def _watch(parent: int, act: Callable[..., None], *arguments: int) -> None:
    while os.getppid() == parent:
        time.sleep(SECONDS)
    act(*arguments)
