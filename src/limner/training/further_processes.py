"""The further processes of a run: their start, and the message when one of them ends.

If one process is killed, the others end too, since none can train alone. Lightning would kill all
processes by SIGKILL, or each would print the error of Gloo or NCCL about a lost connection. Here
the first process prints which process ended and how, and writes this into the status of the run.
If the first process was killed, the second process prints this message.
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

SECONDS = 0.5  # interval at which the other processes are checked
PATIENCE = 10.0
"""Seconds for the first process to end by itself, after another process has ended."""
LOST = re.compile(r"/gloo/|Connection (?:closed|reset) by peer|NCCL (?:error|communicator)")
_others: list[subprocess.Popen] = []
"""Further processes that this process has started."""
_is_over = threading.Event()
"""Event that is set when this process no longer needs the others."""


def cluster() -> list[ClusterEnvironment]:
    """Return SLURM's environment without requeueing; an empty list outside of SLURM.

    By default, if SIGUSR1 arrives before training starts, Lightning saves a checkpoint of its own
    and requeues the job (scripts/slurm_test.py).
    """
    if TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():
        return []
    return [SLURMEnvironment(auto_requeue=False)]


def watch_others(trainer: L.Trainer, *, tell: Callable[[str], None]) -> None:
    """Watch the processes that Lightning will start; if one ends, end this process too.

    Args:
        trainer: A trainer that has not been used yet.
        tell: Function that gets the message about the process that ended. `tell` is called only
            if this process waits for the ended process in the middle of a computation, and so
            cannot end by itself.
    """

    def watch(processes: Sequence[subprocess.Popen]) -> None:
        _others[:] = processes
        _is_over.clear()
        threading.Thread(target=_watch, args=(processes, tell), daemon=True).start()

    watch_launched(trainer, watch)


def forget_others() -> None:
    """Stop watching the other processes, because training is over."""
    _others.clear()
    _is_over.set()


@contextlib.contextmanager
def others_told(run_dir: Path) -> Iterator[None]:
    """Turn the error of a lost connection into a message that names the process that ended.

    Args:
        run_dir: The run folder.

    Raises:
        UserError: If another process broke the connection because it ended.
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
    """End this process if another process ended and this process does not end by itself."""
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
    """Return how a process failed, preferably a killed process; None if no process failed."""
    codes = {i: p.poll() for i, p in enumerate(processes)}
    index = min((i for i, code in codes.items() if code), key=lambda i: codes[i], default=None)
    if index is None:
        return None
    named = f"Process {index + 2} of {len(processes) + 1} of this run ({processes[index].pid})"
    if (code := codes[index]) > 0:
        return f"{named} ended with exit code {code}: {ABOVE}"
    name = signal.Signals(-code).name
    memory = " (which Linux sends when memory runs out)" if name == "SIGKILL" else ""
    return f"{named} was killed by {name}{memory}. The other processes cannot train without it."


def _is_lost_connection(error: RuntimeError) -> bool:
    if isinstance(error, torch.distributed.DistError):
        return "failed to listen" not in str(error)
    return type(error) is RuntimeError and LOST.search(str(error)) is not None


def _why(error: RuntimeError) -> str:
    """Return why the connection ended; wait a moment to see whether one of our processes ended."""
    deadline = time.monotonic() + PATIENCE / 2
    while _others and time.monotonic() < deadline:
        if (ended := _first_ended(_others)) is not None:
            return ended
        time.sleep(SECONDS / 5)
    said = str(error).strip().splitlines()[0][:200]
    return (
        "The connection to another process of this run is lost; that process may have ended "
        f"({said})."
    )


def _how_to_go_on(run_dir: Path) -> list[str]:
    if not numbered(run_dir):
        return []
    return [f"To resume from the last checkpoint: resume={os.path.relpath(run_dir)}"]


def _words_for_the_first(run_dir: Path) -> str | None:
    """Return the second process's message about a first process that was killed, or None."""
    status = read_status(run_dir)
    if os.environ.get("LOCAL_RANK") != "1" or status is None or status.state != "running":
        return None
    killed = (
        f"The first process of this run ({status.pid}) was killed, so the other processes end too."
    )
    return "\n".join([killed, *_how_to_go_on(run_dir)])
