"""How the further processes of a run are started, and what the end of one means to the others.

A process that is killed takes the rest with it: none can train alone. Lightning would kill them
all by SIGKILL, or each would show what Gloo or NCCL say of a lost connection. Here the first one
names the process that ended, and how, and so does the run's status. Where the first one itself
was killed, the second says so.
"""

__all__ = ["cluster", "forget_others", "others_told", "watch_others"]

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import lightning as L
import torch
from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from limner.errors import UserError
from limner.launch.watchdog import ABOVE, end_silently, last_words
from limner.models.lightning_internals import watch_launched
from limner.processes import is_first_process
from limner.runs.checkpoints import numbered
from limner.runs.status import read_status

SECONDS = 0.5  # between two looks at the others
PATIENCE = 10.0
"""Seconds that the first process has to end in order, once another has ended."""
LOST = re.compile(r"/gloo/|Connection (?:closed|reset) by peer|NCCL (?:error|communicator)")
_others: list[subprocess.Popen] = []
"""The further processes that this one has started."""
_is_over = threading.Event()
"""Set when this process needs them no more."""


def cluster() -> list[ClusterEnvironment]:
    """That of SLURM, which by itself would write checkpoints and queue jobs again on signals."""
    if TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():
        return []
    return [SLURMEnvironment(auto_requeue=False)]


def watch_others(trainer: L.Trainer, *, tell: Callable[[str], None]) -> None:
    """Have the end of a process that Lightning will start end this one with a message.

    Args:
        trainer: A trainer that was not used yet.
        tell: Called with the message, if this process cannot end by itself: it waits for the
            other one in the middle of a computation.
    """

    def watch(processes: Sequence[subprocess.Popen]) -> None:
        _others[:] = processes
        _is_over.clear()
        threading.Thread(target=_watch, args=(processes, tell), daemon=True).start()

    watch_launched(trainer, watch)


def forget_others() -> None:
    """From now on, since training is over, this process needs no other."""
    _others.clear()
    _is_over.set()


@contextlib.contextmanager
def others_told(run_dir: Path) -> Iterator[None]:
    """Turn a connection that another process broke by its end into a message on that end.

    Args:
        run_dir: The run's folder.

    Raises:
        UserError: With the message.
    """
    if not is_first_process():
        last_words(lambda: _words_for_the_first(run_dir))
    try:
        yield
    except RuntimeError as error:
        if not _is_lost_connection(error):
            raise
        if not is_first_process():
            end_silently(after=PATIENCE)
        raise UserError("\n".join([_why(error), *_how_to_go_on(run_dir)])) from error


def _watch(processes: Sequence[subprocess.Popen], tell: Callable[[str], None]) -> None:
    """Ends this process, if it does not end by itself when another one has."""
    while (ended := _first_ended(processes)) is None:
        if all(process.returncode == 0 for process in processes):
            return
        time.sleep(SECONDS)
    if _is_over.wait(PATIENCE):
        return
    tell(ended)
    print(f"limner: {ended}", file=sys.stderr, flush=True)
    for process in processes:
        process.kill()
    os._exit(1)


def _first_ended(processes: Sequence[subprocess.Popen]) -> str | None:
    """How a process ended that should not have; a killed one before one that failed."""
    codes = {i: p.poll() for i, p in enumerate(processes)}
    index = min((i for i, code in codes.items() if code), key=lambda i: codes[i], default=None)
    if index is None:
        return None
    named = f"Process {index + 2} of {len(processes) + 1} of this run ({processes[index].pid})"
    if (code := codes[index]) > 0:
        return f"{named} ended with exit code {code}: {ABOVE}"
    name = signal.Signals(-code).name
    memory = " (which Linux sends where memory runs out)" if name == "SIGKILL" else ""
    return f"{named} was killed by {name}{memory}. The others cannot train without it."


def _is_lost_connection(error: RuntimeError) -> bool:
    if isinstance(error, torch.distributed.DistError):
        return "failed to listen" not in str(error)
    return type(error) is RuntimeError and LOST.search(str(error)) is not None


def _why(error: RuntimeError) -> str:
    """What ended the connection: a process of ours, once it is known to have ended."""
    deadline = time.monotonic() + PATIENCE / 2
    while _others and time.monotonic() < deadline:
        if (ended := _first_ended(_others)) is not None:
            return ended
        time.sleep(SECONDS / 5)
    said = str(error).strip().splitlines()[0][:200]
    return f"The connection to another process of this run is lost; maybe it has ended ({said})."


def _how_to_go_on(run_dir: Path) -> list[str]:
    if not numbered(run_dir):
        return []
    return [f"To resume from the last checkpoint: resume={os.path.relpath(run_dir)}"]


def _words_for_the_first(run_dir: Path) -> str | None:
    """What the second process has to say for the first, if that could not say it itself."""
    status = read_status(run_dir)
    if os.environ.get("LOCAL_RANK") != "1" or status is None or status.state != "running":
        return None
    killed = f"The first process of this run ({status.pid}) was killed; the others end with it."
    return "\n".join([killed, *_how_to_go_on(run_dir)])
