"""Queue the jobs of a sweep in SLURM with submitit, as one array for each shape of job.

Each job requests the nodes, processes and GPUs that its own config needs.
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

SECONDS = 5.0  # interval at which the queue is queried


class Shape(NamedTuple):
    """The nodes, processes and GPUs that a job needs."""

    nodes: int
    ntasks_per_node: int
    gpus_per_node: int | None


@dataclass(frozen=True)
class Settings:
    """Settings of SLURM other than the shape of a job, see conf/hydra/launcher/slurm.yaml.

    Args:
        partition: Partition to queue in; None for the cluster's default.
        account: Account to charge; None for the user's default.
        time: Time limit of one start of a job, in minutes.
        warning: Seconds before the time limit at which SLURM signals the job to save.
        memory: Memory on each node, in GiB; None for the cluster's default.
        cpus: Cores of each process.
        at_once: Largest number of jobs that run at a time.
        max_restarts: Number of times that a job may reach its time limit and be requeued.
        setup: Shell lines that run before the job.
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
                raise UserError(
                    f"hydra.launcher.{key}={value}: must be a whole number of 1 or more."
                )
        if 60 * self.time <= self.warning:
            raise UserError(
                f"hydra.launcher.warning={self.warning} (seconds before the end): must be less "
                f"than hydra.launcher.time={self.time} (minutes)."
            )

    def options(self, shape: Shape) -> dict[str, Any]:
        """Return the options of sbatch for jobs of a shape, without their dashes."""
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
    """Raise UserError if this machine cannot queue jobs in SLURM."""
    if importlib.util.find_spec("submitit") is None:
        raise UserError("hydra/launcher=slurm needs: pip install limner[slurm]")
    if shutil.which("sbatch") is None:
        raise UserError(
            "hydra/launcher=slurm: there is no sbatch here; start the sweep on a "
            "machine of the cluster."
        )


def shape_of(config: DictConfig) -> Shape:
    """Return the nodes, processes and GPUs of a job, from its trainer's settings.

    Raises:
        UserError: If the settings do not determine the request to SLURM.
    """
    trainer = config.trainer
    kind, devices, nodes = trainer.accelerator, trainer.devices, trainer.num_nodes
    if kind not in ("cpu", "gpu", "cuda"):
        raise UserError(
            f"trainer.accelerator={kind}: SLURM needs to know whether a job uses GPUs: choose "
            "accelerator=gpu, ddp, cpu or ddp_cpu."
        )
    for key, number in (("devices", devices), ("num_nodes", nodes)):
        if not str(number).isdigit() or int(number) < 1:
            raise UserError(f"trainer.{key}={number}: SLURM needs a number: set trainer.{key}=N.")
    return Shape(int(nodes), int(devices), None if kind == "cpu" else int(devices))


def refuse(shapes: Sequence[Shape], settings: Settings) -> None:
    """Raise UserError if SLURM would not accept jobs of these shapes. Queue nothing.

    Raises:
        UserError: If SLURM refuses a shape; the message has SLURM's reason.
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
            raise UserError(f"SLURM refuses a job with {' '.join(flags)}: {reason}.")


def submit(jobs: Mapping[Shape, Sequence[QueuedJob]], settings: Settings, sweep: Path) -> None:
    """Queue an array of jobs for each shape.

    Args:
        jobs: Mapping of each shape to its jobs.
        settings: Settings of all jobs.
        sweep: Folder of the sweep.

    Raises:
        UserError: If SLURM accepts no more jobs.
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
            srun_args=["--kill-on-bad-exit=1"],  # no process must wait for a dead process
            stderr_to_stdout=True,
            additional_parameters={"requeue": True, **settings.extra},
        )
        try:
            queued = executor.submit_array(list(alike))
        except submitit.core.utils.FailedJobError as error:
            raise UserError(f"SLURM has accepted no job: {str(error).splitlines()[-1]}") from error
        for job, made in zip(alike, queued, strict=True):
            write_queued(job.folder, made.job_id)


def wait(sweep: Path) -> None:
    """Wait until no job of a sweep is in the queue, and print each change of state."""
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
