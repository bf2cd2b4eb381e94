"""The processes of one run on one machine, of which Lightning's launcher starts all but one."""

__all__ = ["end_with_first_process"]

import os
import threading
import time

from limner.console import is_first_process

FIRST = "LIMNER_FIRST_PROCESS"
"""The environment variable with the first process's id, which the others inherit."""
SECONDS = 0.5  # between two looks


def end_with_first_process() -> None:
    """Sees to it that no process of a run stays behind alone.

    A first process that is killed takes nobody with it, and the others would wait for it to answer
    for half an hour. To be called early in each of them. Processes that something else started,
    such as torchrun, are its business.
    """
    if is_first_process():
        os.environ[FIRST] = str(os.getpid())
    elif os.environ.get(FIRST) == str(os.getppid()):
        threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(first: int) -> None:
    while os.getppid() == first:
        time.sleep(SECONDS)
    os._exit(1)
