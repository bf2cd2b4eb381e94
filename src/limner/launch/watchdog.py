"""Processes that must not outlive others: those of one run, and jobs of a sweep or a search."""

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
"""The environment variable with the first process's id, which the others inherit."""
PARENT = "LIMNER_PARENT"
"""The environment variable with the id of the process that a job belongs to."""
ABOVE = "what it said of that stands above."
"""The end of a line on another process, which is not the reason itself."""
SECONDS = 0.5  # between two looks
_last_words: list[Callable[[], str | None]] = []
"""What a further process asks for a message when the first one is gone."""


def end_with_first_process() -> None:
    """Sees to it that no process of a run stays behind alone.

    A first process that is killed takes nobody with it, and the others would wait for it to answer
    for half an hour. To be called early in each of them. Processes that something else started,
    such as torchrun, are its business.
    """
    if is_first_process():
        os.environ[FIRST] = str(os.getpid())
    elif os.environ.get(FIRST) == str(os.getppid()):
        threading.Thread(target=_watch, args=(os.getppid(), _end), daemon=True).start()


def last_words(words: Callable[[], str | None]) -> None:
    """Has a further process say these words, if there are any, when the first one is gone."""
    _last_words[:] = [words]


def end_silently(*, after: float) -> NoReturn:
    """Ends a further process that can do nothing any more, and that the first one speaks for.

    Args:
        after: Seconds that the first one has to see what happened, and to end this one itself.
    """
    time.sleep(after)
    os._exit(1)


def stop_with_parent() -> None:
    """Sees to it that a job saves and stops when the sweep or search that started it is gone."""
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
