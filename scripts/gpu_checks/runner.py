"""Run one check in a process of its own, which ends at its time limit with all its children.

A crash or a hang of a check harms no other check. The process is a fork of this process, which has
imported everything and has not used the GPU, so a check starts at once.
"""

__all__ = ["run_check"]

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
from dataclasses import asdict
from multiprocessing.process import BaseProcess
from pathlib import Path

from gpu_checks.context import Check, Context, Finding
from gpu_checks.records import FAILED, NO_TIME, PASSED, TIMED_OUT, Record

NUM_LINES = 15
"""Number of lines of a failed check's output that its record quotes."""


def run_check(check: Check, context: Context, *, limit: float, is_cut: bool, log: Path) -> Record:
    """Run a check, and return its record.

    Args:
        check: The check.
        context: Surroundings of the check; its deadline is `limit` seconds from now.
        limit: Seconds after which the process is killed.
        is_cut: Whether `limit` is less than the limit of the check, because the whole time is
            nearly over. The check is then not blamed for being killed.
        log: File to which the output of the check is appended.
    """
    rows, began, start = context.folder / "findings.jsonl", _size(log), time.monotonic()
    starter = multiprocessing.get_context(context.method)
    process = starter.Process(target=_child, args=(check, context, rows, log))
    process.start()
    try:
        process.join(limit)
        was_killed = process.is_alive()
    finally:
        _end(process)
    findings = _read(rows)
    result = PASSED
    if was_killed:
        result = NO_TIME if is_cut else TIMED_OUT
    elif process.exitcode != 0 or any(finding.passed is False for finding in findings):
        result = FAILED
    error = []
    if process.exitcode != 0 and result != NO_TIME:
        with open(log, errors="replace") as file:
            file.seek(began)
            error = [line.rstrip() for line in file][-NUM_LINES:]
        how = f"killed after {limit:.0f} s" if was_killed else f"exit code {process.exitcode}"
        error.append(f"({how})")
    return Record(
        check.name, check.about, result, time.monotonic() - start, limit, findings, error
    )


def _child(check: Check, context: Context, rows: Path, log: Path) -> None:
    """Run the check in the new process, and write each finding at once."""
    os.setsid()
    _redirect(log)
    print(f"==== {check.name}", flush=True)
    os.chdir(context.folder)
    os.environ["LIMNER_CACHE"] = str(context.folder.parent / "cache")  # shared by the checks
    with open(rows, "w") as file:
        for finding in check.run(context):
            print(f"{finding.what}: {finding.found}", flush=True)
            file.write(json.dumps(asdict(finding)) + "\n")
            file.flush()


def _redirect(log: Path) -> None:
    """Append what this process and its children print to a file."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, own in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, own)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))


def _end(process: BaseProcess) -> None:
    """Kill what is left of a check: its process, its group, and children in other groups."""
    children = _descendants(process.pid) if process.is_alive() else []
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.is_alive():  # it may be so young that it has no group yet
        process.kill()
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.join()


def _descendants(pid: int) -> list[int]:
    """Return the children of a process, their children and so on; nothing without /proc."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, file.read_text().split()):
                found += [child, *_descendants(child)]
    return found


def _read(rows: Path) -> list[Finding]:
    """Return the findings of a check, without a last line that was cut off by a kill."""
    found = []
    for line in rows.read_text().splitlines() if rows.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            found.append(Finding(**json.loads(line)))
    return found


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
