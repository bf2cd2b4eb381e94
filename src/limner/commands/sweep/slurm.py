"""Jobs of a sweep in SLURM's queue, put there by submitit as arrays of equal shape.

A job asks for what its own config needs.
"""

__all__ = [
    "Settings",
    "Shape",
    "refuse",
    "refuse_without_slurm",
    "shape_of",
    "submit",
    "wait",
]

import importlib.util
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from limner.commands.sweep.records import jobs_in, queued_as, titles, write_queued
from limner.commands.sweep.slurm_job import QueuedJob
from limner.console import say
from limner.errors import UserError
from limner.files.printable import printable

SECONDS = 5.0  # between two looks at the queue


class Shape(NamedTuple):
    """What a job needs of a cluster."""

    nodes: int
    ntasks_per_node: int
    gpus_per_node: int | None


@dataclass(frozen=True)
class Settings:
    """What SLURM is told beside the shape of a job: conf/hydra/launcher/slurm.yaml.

    Args:
        partition: To queue in; None for the cluster's default.
        account: To charge; None for the user's default.
        time: Minutes of one start of a job.
        warning: Seconds before its end at which it is told to save.
        memory: GiB on each node; None for the cluster's default.
        cpus: Cores of each process.
        at_once: Jobs that may run at a time.
        max_restarts: How often a job may reach the end of its time and be queued again.
        setup: Lines of shell before the run.
        extra: Further options of sbatch.
    """

    partition: str | None
    account: str | None
    time: int
    warning: int
    memory: float | None
    cpus: int
    at_once: int
    max_restarts: int
    setup: Sequence[str]
    extra: Mapping[str, Any]

    def __post_init__(self) -> None:
        for key in ("time", "warning", "cpus", "at_once", "max_restarts"):
            value = getattr(self, key)
            if not isinstance(value, int) or value < 1:
                raise UserError(f"hydra.launcher.{key}={value}: a whole number, 1 or more.")
        if 60 * self.time <= self.warning:
            raise UserError(
                f"hydra.launcher.warning={self.warning}: seconds before the end of "
                f"hydra.launcher.time={self.time} minutes; it must be sooner."
            )

    def options(self, shape: Shape) -> dict[str, Any]:
        """Options of sbatch for jobs of a shape, without their dashes."""
        memory = None if self.memory is None else f"{round(1024 * self.memory)}M"
        known = {
            "partition": self.partition,
            "account": self.account,
            "time": self.time,
            "mem": memory,
            "cpus_per_task": self.cpus,
            **shape._asdict(),
        }
        return {key: value for key, value in known.items() if value is not None}


def refuse_without_slurm() -> None:
    """Raises `UserError` where no job can be queued."""
    if importlib.util.find_spec("submitit") is None:
        raise UserError("hydra/launcher=slurm needs: pip install limner[slurm]")
    if shutil.which("sbatch") is None:
        raise UserError("hydra/launcher=slurm: there is no sbatch here; is this the cluster?")


def shape_of(config: DictConfig) -> Shape:
    """What a job needs, by its trainer's settings.

    Raises:
        UserError: If they leave open what to ask SLURM for.
    """
    trainer = config.trainer
    kind, devices, nodes = trainer.accelerator, trainer.devices, trainer.num_nodes
    if kind not in ("cpu", "gpu", "cuda"):
        raise UserError(
            f"trainer.accelerator={kind}: SLURM must be told whether a job needs GPUs; choose "
            "accelerator=gpu, ddp, cpu or ddp_cpu."
        )
    for key, number in (("devices", devices), ("num_nodes", nodes)):
        if not str(number).isdigit() or int(number) < 1:
            raise UserError(
                f"trainer.{key}={number}: SLURM must be told how many: trainer.{key}=N"
            )
    return Shape(int(nodes), int(devices), None if kind == "cpu" else int(devices))


def refuse(shapes: Sequence[Shape], settings: Settings) -> None:
    """Asks SLURM whether it would take jobs of these shapes. Queues nothing.

    Raises:
        UserError: If not, with its reason.
    """
    for shape in shapes:
        options = settings.options(shape) | dict(settings.extra)
        flags = [_flag(key, value) for key, value in options.items()]
        done = subprocess.run(
            ["sbatch", "--test-only", *flags, "--wrap=true"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            reason = said[-1].removeprefix("sbatch: error: ").removeprefix("allocation failure: ")
            raise UserError(f"SLURM takes no job of {' '.join(flags)}: {reason}.")


def submit(jobs: Mapping[Shape, Sequence[QueuedJob]], settings: Settings, sweep: Path) -> None:
    """Queues an array of jobs for each shape.

    Args:
        jobs: By shape.
        settings: For all of them.
        sweep: The folder of the sweep.

    Raises:
        UserError: If SLURM takes them no more.
    """
    import submitit

    for shape, alike in jobs.items():
        executor = submitit.SlurmExecutor(
            sweep / ".slurm" / "%j", max_num_timeout=settings.max_restarts
        )
        executor.update_parameters(
            **settings.options(shape),
            job_name=f"limner_{sweep.name}",
            signal_delay_s=settings.warning,
            array_parallelism=settings.at_once,
            setup=list(settings.setup),
            srun_args=["--kill-on-bad-exit=1"],  # one process does not wait for a dead one
            stderr_to_stdout=True,
            additional_parameters={"requeue": True, **settings.extra},
        )
        try:
            queued = executor.submit_array(list(alike))
        except submitit.core.utils.FailedJobError as error:
            raise UserError(f"SLURM has taken no job: {str(error).splitlines()[-1]}") from error
        for job, made in zip(alike, queued, strict=True):
            write_queued(job.folder, made.job_id)


def wait(sweep: Path) -> None:
    """Waits until none of a sweep's jobs is in the queue, and tells what becomes of each."""
    before: dict[Path, str] = {}
    while True:
        try:
            jobs = jobs_in(sweep)
        except UserError as error:  # SLURM may be busy
            say(str(error), style="yellow")
        else:
            states = {job.folder: job.state for job in jobs if queued_as(job.folder) is not None}
            for job, title in zip(jobs, titles(jobs), strict=True):
                if job.folder in states and before.get(job.folder) != job.state:
                    text = f"SLURM's job {queued_as(job.folder)}, {title}: {job.state}"
                    say(printable(text))
            if {"queued", "running"}.isdisjoint(states.values()):
                return
            before = states
        time.sleep(SECONDS)


def _flag(key: str, value: Any) -> str:
    name = f"--{key.replace('_', '-')}"
    return name if value is True else f"{name}={value}"
