"""Jobs: training runs that a sweep or a search starts, each in its own process.

Since each job has its own process, a job that crashes or is killed does not stop other jobs, and a
job cannot be affected by what an earlier job left in memory. The further processes of a DDP job
start only this job, not the whole sweep (test_sweep_over_numbers_of_processes_trains_every_job).
"""

__all__ = [
    "NAME", "Ended", "environment", "failure_reason", "objective", "start", "train_command",
    "wait_for",
]  # fmt: skip

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

from limner.files.plain import read_json, read_yaml
from limner.launch.resources import JobResources
from limner.launch.watchdog import ABOVE, PARENT
from limner.processes import STOP_SIGNALS

RANK_VARIABLES = (
    "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "PL_GLOBAL_SEED",
)  # fmt: skip
NAME = "LIMNER_JOB_NAME"
"""Environment variable with the name of a job, which its progress shows."""
SECONDS = 1.0  # interval between two checks that the parent process is alive
KEPT = 50  # number of last lines of a job's output to keep


class Ended(NamedTuple):
    """End of a job.

    Args:
        code: Exit code; negative for the signal that killed the job.
        error: Reason of a failure in one line; None if the job finished.
    """

    code: int
    error: str | None


def train_command() -> list[str]:
    """Return the command that starts training in the same way as this process was started."""
    script = sys.argv[0]
    return [sys.executable, script, *([] if script.endswith(".py") else ["train"])]


def environment(resources: JobResources | None) -> dict[str, str]:
    """Return the environment variables of a job.

    The job is a separate run, without the rank of this process, and stops when this process ends.

    Args:
        resources: Cores and GPUs of the job; None for the whole machine.
    """
    kept = {key: value for key, value in os.environ.items() if key not in RANK_VARIABLES}
    return (
        kept | {PARENT: str(os.getpid())} | ({} if resources is None else resources.environment())
    )


def start(
    command: Sequence[str],
    *,
    resources: JobResources | None,
    output: IO | None = None,
    alone: bool = True,
    name: str | None = None,
    own_session: bool = False,
) -> subprocess.Popen:
    """Start a job.

    Args:
        command: Words of the command.
        resources: Cores and GPUs of the job; None for the whole machine.
        output: File for stdout and stderr; None for this process's stdout, and a pipe for stderr.
        alone: Whether to hide the variables with the rank of this process from the job.
        name: Name of the job on its progress bar, such as "Trial 3"; None for "Training".
        own_session: Whether the job has its own session, so that the terminal's Ctrl-C does not
            reach the job.

    Returns:
        The process of the job.
    """
    variables = environment(resources) if alone else os.environ | {PARENT: str(os.getpid())}
    process = subprocess.Popen(
        command,
        env=variables if name is None else variables | {NAME: name},
        stdout=output,
        stderr=subprocess.PIPE if output is None else subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=own_session,
    )
    if resources is not None:
        resources.bind(process.pid)
    return process


def wait_for(process: subprocess.Popen) -> Ended:
    """Wait for a job; forward signals to the job, and its stderr to the stderr of this process.

    `subprocess.run` would kill the job a quarter of a second after Ctrl-C, before it has saved.
    Call this function in the main thread only.

    Raises:
        SystemExit: If this process received a signal; raised after the job has saved and ended.
    """
    received: list[int] = []
    lines: list[str] = []

    def pass_on(number: int, frame: object) -> None:
        received.append(number)
        if number != signal.SIGINT:  # the terminal sends SIGINT to the job too
            process.send_signal(number)

    reader = threading.Thread(target=_read, args=(process.stderr, lines), daemon=True)
    previous = [signal.signal(number, pass_on) for number in STOP_SIGNALS]
    parent = os.getppid()
    try:
        reader.start()
        while (code := _code(process)) is None:
            if os.getppid() != parent and not received:  # a joblib worker whose parent is gone
                pass_on(signal.SIGTERM, None)
        reader.join(timeout=5)  # a process that a logger left running may keep the pipe open
    finally:
        for number, handler in zip(STOP_SIGNALS, previous, strict=True):
            signal.signal(number, handler)
    if received:
        raise SystemExit(1)
    return Ended(code, failure_reason(code, lines))


def failure_reason(code: int, lines: Sequence[str]) -> str | None:
    """Return the reason of a job's failure in one line; None if the job finished.

    Args:
        code: Exit code of the job; negative for the signal that killed the job.
        lines: Last lines of the job's stderr.
    """
    if code == 0:
        return None
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    said = [line.removeprefix("limner: ") for line in lines if line.startswith("limner: ")]
    own = [line for line in said if not line.strip().endswith(ABOVE)]
    rest = [line for line in lines if line.strip()]
    return (own or said or rest or [f"ended with exit code {code}"])[-1].strip()


def objective(folder: Path) -> tuple[str, float] | None:
    """Return name and value of a run's objective; None if its config or its scores lack it."""
    try:
        wanted = read_yaml(folder / "config.yaml")["metrics"]["objective"]
        scores = read_json(folder / "scores.json")
        return str(wanted["name"]), float(scores[wanted["name"]]["value"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _read(pipe: IO[str] | None, lines: list[str]) -> None:
    for line in pipe or ():
        sys.stderr.write(line)
        sys.stderr.flush()
        lines.append(line)
        del lines[:-KEPT]


def _code(process: subprocess.Popen) -> int | None:
    try:
        return process.wait(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return None
