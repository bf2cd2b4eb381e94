"""Sweeps: each job a run of its own, of which none can stop the others, and a table at the end.

What became of a job stands in its folder (status.json, scores.json) and in the sweep's `.jobs`, so
that the same sweep, started again, runs only what is missing or failed and goes on with what was
interrupted, whatever launcher runs the jobs.
"""

__all__ = ["Job", "jobs_in", "run_job", "tell"]

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich import box, get_console
from rich.table import Table
from rich.text import Text

from limner.console import shown
from limner.errors import UserError
from limner.jobs import objective, start, train_command, waited_for
from limner.locks import is_locked
from limner.mistakes import explain
from limner.resuming.unfinished import What, in_folder
from limner.resuming.words import key_of, quoted
from limner.shares import taken
from limner.status import read_status

RECORDS = ".jobs"
OF_THE_SWEEP = ("hydra.sweep", "hydra/launcher", "hydra.launcher", "hydra/sweeper",
                "hydra.sweeper", "hydra.mode", "hydra.run", "hydra.output_subdir")  # fmt: skip
"""Keys of Hydra's that concern the sweep and not its jobs."""
JOBLIB = "hydra_plugins.hydra_joblib_launcher"


class Job(NamedTuple):
    """One job of a sweep, as its folder tells.

    Args:
        folder: Of the run.
        overrides: What makes it this job.
        state: "finished", "running", "stopped" by a signal, "killed", "failed", or "not begun".
        error: Why it failed, in a line.
        score: Name and value of the objective, if it has one.
    """

    folder: Path
    overrides: Sequence[str]
    state: str
    error: str | None
    score: tuple[str, float] | None


def run_job(config: DictConfig, folder: Path) -> float | None:
    """Runs the job that Hydra has composed, unless it has finished before; its objective's value.

    Raises:
        SystemExit: If a signal came: the job has saved and the sweep is to end.
    """
    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    try:
        what = in_folder(folder, config)
    except (UserError, OSError) as error:  # another run is there, or one that is being trained
        _record(folder, overrides, (explain(error) or (str(error), 1))[0])
        return None
    _record(folder, overrides, None)
    if what is not What.NOTHING:
        sources = hydra.runtime.config_sources
        own = [source.path for source in sources if source.provider == "command-line"]
        flags = ["--config-dir", own[0]] if own else []
        kept = [
            word for word in hydra.overrides.hydra if not key_of(word).startswith(OF_THE_SWEEP)
        ]
        where = ["resume=auto", f"hydra.run.dir={quoted(folder)}"]
        with taken(folder.parent / ".places", _at_once(hydra)) as share:
            command = [*train_command(), *flags, *overrides, *kept, *where]
            ended = waited_for(start(command, share=share))
        _record(folder, overrides, ended.error)
        if ended.error is not None:
            return None
    score = objective(folder)
    return None if score is None else score[1]


def jobs_in(sweep: Path) -> list[Job]:
    """What became of the jobs of a sweep so far, in the order in which they were first begun."""
    found = []
    for path in (sweep / RECORDS).glob("*.json"):
        record = json.loads(path.read_text())
        folder = sweep / path.stem
        state, error = _state(folder, record["error"])
        score = objective(folder) if state == "finished" else None
        found.append((record["number"], Job(folder, record["overrides"], state, error, score)))
    return [job for _, job in sorted(found, key=lambda pair: pair[0])]


def tell(sweep: Path) -> int:
    """Prints a table of a sweep's jobs, and what to do next; the exit code."""
    jobs = jobs_in(sweep)
    if not jobs:
        return 1
    shared = set.intersection(*(set(job.overrides) for job in jobs)) if len(jobs) > 1 else set()
    names = [job.score[0] for job in jobs if job.score]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("job", overflow="fold")
    table.add_column("state")
    table.add_column(names[0] if len(set(names)) == 1 else "objective", justify="right")
    table.add_column("error", overflow="fold")
    for job in jobs:
        own = " ".join(word for word in job.overrides if word not in shared) or job.folder.name
        score = "" if job.score is None else f"{job.score[1]:.4g}"
        if job.score is not None and len(set(names)) > 1:
            score = f"{job.score[0]} {score}"
        table.add_row(Text(own), job.state, Text(score), Text(job.error or ""))
    console, states = get_console(), Counter(job.state for job in jobs)
    console.print(table)
    counted = ", ".join(f"{number} {state}" for state, number in states.items())
    plural = "" if len(jobs) == 1 else "s"
    lines = [f"{len(jobs)} job{plural}: {counted}. They are in {shown(sweep.absolute())}"]
    if states["finished"] < len(jobs) and sweep.parent == Path("outputs/sweeps"):
        lines.append(f"To run what has not finished: the same command, with sweep={sweep.name}")
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    return 0 if states["finished"] == len(jobs) else 1


def refuse_launcher(choice: str | None) -> None:
    """Raises `UserError` if joblib's launcher is asked for where it is not installed."""
    if choice == "joblib":
        import importlib.util

        if importlib.util.find_spec(JOBLIB) is None:
            raise UserError("hydra/launcher=joblib needs: pip install limner[joblib]")


def _at_once(hydra: DictConfig) -> int:
    """How many jobs the launcher runs at a time on this machine."""
    if not hydra.launcher._target_.startswith(JOBLIB):
        return 1
    number = hydra.launcher.n_jobs
    return number if number > 0 else os.cpu_count() or 1


def _record(folder: Path, overrides: Sequence[str], error: str | None) -> None:
    """Writes down that a job was begun, and what it told of its end."""
    records = folder.parent / RECORDS
    records.mkdir(parents=True, exist_ok=True)
    number = HydraConfig.get().job.num
    record = {"overrides": list(overrides), "error": error, "number": number}
    partial = records / f"{folder.name}.partial"
    partial.write_text(json.dumps(record, indent=2) + "\n")
    os.replace(partial, records / f"{folder.name}.json")


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
