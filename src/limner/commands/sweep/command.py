"""Run one job of a sweep, as Hydra's launcher calls it, and print the table of all jobs."""

__all__ = ["refuse_launcher", "run_job", "tell"]

import importlib.util
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich import box, get_console
from rich.table import Table
from rich.text import Text

from limner.commands.sweep import slurm
from limner.commands.sweep.plan import missing, planned, write_plan
from limner.commands.sweep.records import Job, jobs_in, queued_as, titles, write_record
from limner.commands.sweep.slurm_job import QueuedJob
from limner.commands.sweep.slurm_queue import queue
from limner.config.error_messages import explain
from limner.console import say, shown
from limner.errors import UserError
from limner.files.printable import counted, printable
from limner.launch.job import objective, start, train_command, wait_for
from limner.launch.resources import reserve_resources
from limner.resume.find_run import Action, action_in_folder
from limner.resume.overrides import key_of, quoted

OF_THE_SWEEP = ("hydra.sweep", "hydra/launcher", "hydra.launcher", "hydra/sweeper",
                "hydra.sweeper", "hydra.mode", "hydra.run", "hydra.output_subdir",
                "hydra.job.config.override_dirname")  # fmt: skip
"""Keys of Hydra that concern the sweep and not its jobs."""
JOBLIB = "hydra_plugins.hydra_joblib_launcher"
RAY = "hydra_plugins.hydra_ray_launcher"
SLURM = "hydra_plugins.limner_slurm"


def run_job(config: DictConfig, folder: Path, words: Sequence[str]) -> float | QueuedJob | None:
    """Run the job that Hydra has composed, unless it has finished; return its objective's value.

    With the SLURM launcher, the job is not run here but returned, so that it can be queued.

    Args:
        config: Config of the job.
        folder: Run folder of the job.
        words: Words of the command that started the sweep.

    Raises:
        SystemExit: If a signal arrived. The job has saved, and the sweep must end.
    """
    hydra = HydraConfig.get()
    overrides, number = list(hydra.overrides.task), hydra.job.num
    name = _announced(planned(words), overrides, number, folder)
    by_slurm = hydra.launcher._target_.startswith(SLURM)
    if by_slurm and (job_id := queued_as(folder)) is not None and job_id in queue():
        return None
    try:
        what = action_in_folder(folder, config)
    except (UserError, OSError) as error:  # the folder holds another run, or is being trained
        reason = (explain(error) or (str(error), 1))[0]
        write_record(folder, overrides, number, reason)
        say(f"{name}: {printable(reason, keep_newlines=True)}", style="yellow")
        return None
    write_record(folder, overrides, number, None)
    say(f"{name} -> {shown(folder)}" + (", finished before" if what is Action.NOTHING else ""))
    if what is not Action.NOTHING:
        command = _command(hydra, overrides, folder)
        if by_slurm:
            return QueuedJob(command, folder, overrides, number)
        with reserve_resources(folder.parent / ".places", _at_once(hydra)) as resources:
            place = name.partition(":")[0]  # "Job 2 of 4"
            ended = wait_for(start(command, resources=resources, name=place))
        write_record(folder, overrides, number, ended.error)
        if ended.error is not None:
            return None
    score = objective(folder)
    return None if score is None else score[1]


def tell(sweep: Path) -> int:
    """Print a table of a sweep's jobs and advice on the next step; return the exit code."""
    begun = jobs_in(sweep)
    if not begun:
        return 1
    jobs = [*begun, *missing(sweep, begun)]
    names = [job.score[0] for job in jobs if job.score]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("job", overflow="fold")
    table.add_column("state")
    if names:
        heading = names[0] if len(set(names)) == 1 else "objective"
        table.add_column(Text(printable(heading)), justify="right")
    if any(job.error for job in jobs):
        table.add_column("error", overflow="fold")
    for job, title in zip(jobs, titles(jobs), strict=True):
        score = "" if job.score is None else f"{job.score[1]:.4g}"
        if job.score is not None and len(set(names)) > 1:
            score = f"{job.score[0]} {score}"
        error = " ".join((job.error or "").split())
        cells = [title, job.state, *([score] if names else []), *([error] if error else [])]
        table.add_row(*(Text(printable(cell)) for cell in cells))
    states = Counter(job.state for job in jobs)
    get_console().print(table)
    found = ", ".join(f"{number} {state}" for state, number in states.items())
    if len(begun) < len(jobs):
        say(f"The sweep began {len(begun)} of {len(jobs)} jobs.")
    lines = [f"{counted(len(jobs), 'job')}: {printable(found)}, in {shown(sweep.absolute())}"]
    if states["finished"] < len(jobs) and sweep.parent == Path("outputs/sweeps"):
        lines.append(
            f"To run the unfinished jobs: the same command with sweep={printable(sweep.name)}"
        )
    for line in lines:
        say(line)
    return 0 if states["finished"] == len(jobs) else 1


def _announced(
    plan: Sequence[Sequence[str]], overrides: Sequence[str], number: int, folder: Path
) -> str:
    """Return a job's place in the sweep and its own overrides, and record the plan."""
    if list(overrides) not in plan:  # a config file sets the varied values
        return printable(f"Job {number + 1}: {' '.join(overrides) or folder.name}")
    write_plan(folder.parent, plan)
    own = titles([Job(folder, words, "", None, None) for words in plan])[number % len(plan)]
    return printable(f"Job {number + 1} of {len(plan)}: {own}")


def refuse_launcher(choice: str | None, *, sweep: bool) -> None:
    """Raise UserError if the chosen launcher cannot work here.

    Args:
        choice: Option of hydra/launcher, or None.
        sweep: Whether the command is a sweep.
    """
    if choice is not None and not sweep:
        raise UserError(f"hydra/launcher={choice} is for the jobs of a sweep: add -m.")
    for name, package in (("joblib", JOBLIB), ("ray", RAY)):
        if choice == name and importlib.util.find_spec(package) is None:
            raise UserError(f"hydra/launcher={name} needs: pip install limner[{name}]")
    if choice == "slurm":
        slurm.refuse_without_slurm()


def _command(hydra: DictConfig, overrides: Sequence[str], folder: Path) -> list[str]:
    """Return the command that starts a job as a separate run."""
    sources = hydra.runtime.config_sources
    own = [source.path for source in sources if source.provider == "command-line"]
    flags = ["--config-dir", own[0]] if own else []
    kept = [word for word in hydra.overrides.hydra if not key_of(word).startswith(OF_THE_SWEEP)]
    where = ["resume=auto", f"hydra.run.dir={quoted(folder)}"]
    return [*train_command(), *flags, *overrides, *kept, *where]


def _at_once(hydra: DictConfig) -> int:
    """Return the number of jobs that the launcher runs at a time on this machine."""
    if not hydra.launcher._target_.startswith(JOBLIB):
        return 1
    number = hydra.launcher.n_jobs
    return number if number > 0 else os.cpu_count() or 1
