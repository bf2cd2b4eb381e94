"""The outcomes of a sweep's jobs, from their folders, the sweep's `.jobs` and SLURM's queue.

Outcomes are stored in files, since joblib's launcher runs a job in another process.
"""

__all__ = ["Job", "error_of", "jobs_in", "queued_as", "titles", "write_queued", "write_record"]

import functools
import json
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from limner.commands.sweep.slurm_queue import queue
from limner.files.atomic import write_atomically
from limner.files.plain import NotPlainError, read_json, read_text
from limner.launch.job import objective
from limner.runs.lock import is_locked
from limner.runs.names import RECORDS
from limner.runs.status import read_status

log = logging.getLogger(__name__)

QUEUED = ".slurm"
LAST = sys.maxsize  # place in the sweep of a job with a damaged record


class Job(NamedTuple):
    """One job of a sweep and its state.

    Args:
        folder: Run folder.
        overrides: Overrides that set this job apart.
        state: "finished", "running", "queued", "stopped" by a signal, "killed", "failed", or
            "not begun".
        error: Reason of a failure, in one line.
        score: Name and value of the objective; None if the job has none.
    """

    folder: Path
    overrides: Sequence[str]
    state: str
    error: str | None
    score: tuple[str, float] | None


def jobs_in(sweep: Path) -> list[Job]:
    """Return the jobs of a sweep, in the order in which they were first started.

    SLURM is queried only if a job was queued there.
    """
    records = {sweep / path.stem: _read(path) for path in (sweep / RECORDS).glob("*.json")}
    queued = {folder: number for folder in records if (number := queued_as(folder)) is not None}
    found, waiting = [], queue() if queued else {}
    for folder, record in records.items():
        state, error = _state(folder, record["error"])
        if state == "not begun" and folder not in queued:
            state = "stopped"  # its run was stopped before it wrote anything
        if (in_queue := waiting.get(queued.get(folder))) is not None:
            state, error = ("queued" if in_queue == "PENDING" else "running"), None
        score = objective(folder) if state == "finished" else None
        found.append((record["number"], Job(folder, record["overrides"], state, error, score)))
    return [job for _, job in sorted(found, key=lambda pair: pair[0])]


def titles(jobs: Sequence[Job]) -> list[str]:
    """Return the overrides that distinguish each job of a sweep, as one text for each job."""
    known = [set(job.overrides) for job in jobs if job.overrides]
    shared = set.intersection(*known) if len(known) > 1 else set()
    own = [[word for word in job.overrides if word not in shared] for job in jobs]
    return [" ".join(words) or job.folder.name for words, job in zip(own, jobs, strict=True)]


def write_record(folder: Path, overrides: Sequence[str], number: int, error: str | None) -> None:
    """Record that a job was started, and its failure, if any.

    Args:
        folder: Run folder.
        overrides: Overrides that set this job apart.
        number: Place of the job in the sweep.
        error: Reason of the failure, in one line; None if the job did not fail.
    """
    record = {"overrides": list(overrides), "error": error, "number": number}
    _write(folder, ".json", json.dumps(record, indent=2))


def error_of(folder: Path) -> str | None:
    """Return the recorded reason why the job of a folder failed; None if there is none."""
    path = folder.parent / RECORDS / f"{folder.name}.json"
    return _read(path)["error"] if path.is_file() else None


def write_queued(folder: Path, job_id: str) -> None:
    """Record the SLURM job id of a job."""
    _write(folder, QUEUED, job_id)


def queued_as(folder: Path) -> str | None:
    """Return the last SLURM job id of a job; None if there is no such record."""
    try:
        number = read_text(folder.parent / RECORDS / f"{folder.name}{QUEUED}").strip()
    except NotPlainError:
        return None
    return number if re.fullmatch(r"[0-9]+(_[0-9]+)?", number) else None


def _read(path: Path) -> dict[str, Any]:
    """Return a record; replace a damaged record by a record without overrides, and warn once."""
    try:
        record = read_json(path)
        if (
            isinstance(record, dict)
            and isinstance(record["number"], int)
            and isinstance(record["error"], str | None)
            and isinstance(record["overrides"], list)
            and all(isinstance(word, str) for word in record["overrides"])
        ):
            return record
        reason = "is no record of a job"
    except NotPlainError as error:
        reason = str(error)
    except KeyError:
        reason = "is no record of a job"
    _say_damaged(path, reason)
    return {"number": LAST, "error": None, "overrides": []}


@functools.cache
def _say_damaged(path: Path, reason: str) -> None:
    log.warning("%s %s: the overrides of this job are not known.", path, reason)


def _write(folder: Path, suffix: str, text: str) -> None:
    records = folder.parent / RECORDS
    records.mkdir(parents=True, exist_ok=True)
    write_atomically(records / f"{folder.name}{suffix}", f"{text}\n", sync=True)


def _state(folder: Path, error: str | None) -> tuple[str, str | None]:
    status = read_status(folder)
    if is_locked(folder):
        return "running", None
    if error is not None and error.startswith("killed by"):
        return "killed", error
    if status is None or (status.state == "finished" and error is not None):
        return ("not begun" if error is None else "failed"), error
    if status.state == "running":
        return "killed", error
    return status.state, error if status.state != "finished" else None
