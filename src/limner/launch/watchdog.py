"""Threads that end a process when the first process of its run, or its parent, has ended."""

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
"""Environment variable with the id of the first process, inherited by the other processes."""
PARENT = "LIMNER_PARENT"
"""Environment variable with the id of the process that started a job."""
ABOVE = "see its message above."
"""End of a line that only refers to the message of another process."""
SECONDS = 0.5  # interval between two checks
_last_words: list[Callable[[], str | None]] = []
"""Functions that return a message, or None, to print when the first process has ended."""


def end_with_first_process() -> None:
    """End this process of a run when the first process has ended.

    Without this function, the other processes would wait for half an hour for a first process that
    was killed. Call this function early in each process. Launchers such as torchrun end their
    processes themselves.
    """
    if is_first_process():
        os.environ[FIRST] = str(os.getpid())
    elif os.environ.get(FIRST) == str(os.getppid()):
        threading.Thread(target=_watch, args=(os.getppid(), _end), daemon=True).start()


def last_words(words: Callable[[], str | None]) -> None:
    """Let a further process print a message when the first process has ended.

    Args:
        words: Function that returns the message, or None for no message.
    """
    _last_words[:] = [words]


def end_silently(*, after: float) -> NoReturn:
    """End a further process without a message; the first process prints the message.

    Args:
        after: Seconds to wait, since the first process may end this process in that time.
    """
    time.sleep(after)
    os._exit(1)


def stop_with_parent() -> None:
    """Let a job save and stop when the sweep or search that started the job has ended."""
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
