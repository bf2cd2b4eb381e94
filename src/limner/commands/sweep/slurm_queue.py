"""Queries of SLURM's queue about jobs that have not ended.

submitit would ask `sacct`, which many clusters lack. So this module asks `squeue`
(test_jobs_in_the_queue_are_recognised).
"""

__all__ = ["may_go_on", "queue"]

import shutil
import subprocess
import time

from limner.errors import UserError

SECONDS = 60.0  # time limit of a query
ATTEMPTS = 3  # SLURM's signal to all processes of a job also ends a squeue that runs in the job


def queue() -> dict[str, str]:
    """Return the jobs of this user in SLURM's queue: id (12_0 for a job of an array) -> state.

    Return an empty dict if there is no SLURM.

    Raises:
        UserError: If SLURM does not answer.
    """
    if shutil.which("squeue") is None:
        return {}
    lines = _squeue("--me", "--array", "--format=%i %T").splitlines()
    return dict(line.split() for line in lines)


def may_go_on(job_id: str) -> bool:
    """Return whether a job that got a signal should be requeued.

    A job at its time limit and a preempted job should be requeued. A job that a person cancelled
    or requeued should not: `scontrol requeue` would revive a cancelled job. A job may reach its
    limit without a warning signal, since SLURM checks time limits only every 30 seconds
    (test_job_with_a_warning_signal_is_requeued_by_its_first_process).

    Args:
        job_id: Value of SLURM_JOB_ID.

    Raises:
        UserError: If SLURM does not answer.
    """
    state, _, reason = _squeue(f"--jobs={job_id}", "--format=%T %r").strip().partition(" ")
    return state == "RUNNING" or reason == "TimeLimit"


def _squeue(*options: str, attempts: int = ATTEMPTS) -> str:
    command = ["squeue", "--noheader", *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        if attempts > 1:
            time.sleep(1.0)
            return _squeue(*options, attempts=attempts - 1)
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
        raise UserError(f"SLURM does not answer ({said}).") from error
    return done.stdout
