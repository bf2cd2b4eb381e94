"""Comparison of the processes that torchrun or SLURM started with the processes of the config.

If a launcher started two processes for a run of one process, Lightning would train the whole run
twice. If a launcher started too few processes, they would wait for the others forever.
test_torchrun_with_another_number_of_processes_is_refused
"""

__all__ = ["check_started", "restarted_by_slurm", "started_outside", "step_of_slurm"]

import os
from collections.abc import Mapping

from limner.errors import UserError


def started_outside(environ: Mapping[str, str] = os.environ) -> int:
    """Return how many processes of this run torchrun or SLURM started; 0 if neither did."""
    if "TORCHELASTIC_RUN_ID" in environ:
        return _number(environ, "WORLD_SIZE")
    if not _under_slurm(environ):
        return 0
    return _number(environ, "SLURM_NTASKS") if _by_srun(environ) else 1


def step_of_slurm(environ: Mapping[str, str] = os.environ) -> str:
    """Return the numbers of the SLURM job and step that started this process, such as 12.0."""
    return f"{environ['SLURM_JOB_ID']}.{environ['SLURM_STEP_ID']}"


def restarted_by_slurm(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether SLURM has requeued this job."""
    return _number(environ, "SLURM_RESTART_COUNT") > 0


def check_started(
    num_processes: int, *, num_nodes: int, environ: Mapping[str, str] = os.environ
) -> None:
    """Raise `UserError` if the number of started processes differs from the config.

    Args:
        num_processes: Number of processes in the config, trainer.num_nodes x trainer.devices.
        num_nodes: Number of nodes in the config, trainer.num_nodes.
        environ: Environment variables of this process.

    Raises:
        UserError: If the numbers differ. Every process raises the error before any process waits
            for another.
    """
    asked = (
        f"trainer.num_nodes={num_nodes} x trainer.devices={num_processes // num_nodes} make "
        f"{num_processes}"
    )
    port = environ.get("MASTER_PORT", "1")
    if num_processes > 1 and not (port.isdecimal() and 0 < int(port) < 65536):
        raise UserError(f"MASTER_PORT={port}: set it to a number from 1 to 65535, or unset it.")
    if "TORCHELASTIC_RUN_ID" in environ:
        started = _number(environ, "WORLD_SIZE")
        if started != num_processes:
            here = _number(environ, "LOCAL_WORLD_SIZE") or started
            fit = f"trainer.num_nodes={started // here} trainer.devices={here}"
            raise UserError(f"torchrun started {started} processes, but {asked}. Choose {fit}")
    elif _under_slurm(environ):
        _check_slurm(num_processes, num_nodes, asked, environ)
    elif (started := _number(environ, "WORLD_SIZE")) not in (0, num_processes):
        raise UserError(
            f"The environment says that there are WORLD_SIZE={started} processes, but {asked}. "
            "Choose them so that they agree, or unset WORLD_SIZE."
        )


def _check_slurm(
    num_processes: int, num_nodes: int, asked: str, environ: Mapping[str, str]
) -> None:
    started, per_node = started_outside(environ), _number(environ, "SLURM_NTASKS_PER_NODE")
    fit = f"--nodes={num_nodes} --ntasks-per-node={num_processes // num_nodes}"
    if started != num_processes and _by_srun(environ):
        raise UserError(f"srun started {started} processes, but {asked}. Choose {fit}")
    if started != num_processes:
        raise UserError(
            f"SLURM started this command once, but {asked}. Put srun before it, and choose {fit}"
        )
    if per_node == 0 and _number(environ, "SLURM_NTASKS") > 1:
        raise UserError(f"SLURM got --ntasks without --ntasks-per-node: choose {fit}")
    if started > 1 and per_node * num_nodes != num_processes:
        raise UserError(f"SLURM got --ntasks-per-node={per_node}, but {asked}. Choose {fit}")


def _under_slurm(environ: Mapping[str, str]) -> bool:
    """Return whether SLURM started this process, rather than a person in an interactive shell."""
    return "SLURM_NTASKS" in environ and environ.get("SLURM_JOB_NAME") not in (
        "bash", "interactive",
    )  # fmt: skip


def _by_srun(environ: Mapping[str, str]) -> bool:
    """Return whether this process is a task of srun, rather than the script of a job.

    SLURM_NTASKS does not show this, since SLURM sets it in the script too.
    """
    return "SLURM_STEP_ID" in environ or _number(environ, "SLURM_PROCID") > 0


def _number(environ: Mapping[str, str], name: str) -> int:
    value = environ.get(name, "")
    return int(value) if value.isdigit() else 0
