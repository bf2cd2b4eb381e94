"""A job of a sweep inside SLURM, which saves on a signal and is requeued.

SLURM sends a signal to all processes of a job shortly before its time limit, or when the job is
preempted. Then the run saves and stops, and the job requeues itself and resumes the run.
"""

__all__ = ["SIGNAL", "QueuedJob"]

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.commands.sweep.records import error_of, write_record
from limner.commands.sweep.slurm_queue import may_go_on
from limner.launch.job import start, wait_for
from limner.runs.status import read_status

SIGNAL = "USR1"  # the signal that runs handle; submitit's default is USR2
os.environ["SUBMITIT_PREEMPT_SIGNAL"] = SIGNAL


@dataclass(frozen=True)
class QueuedJob:
    """A job of a sweep, called by each of its processes in SLURM.

    Args:
        command: Command that starts or resumes the run.
        folder: Run folder.
        overrides: Overrides that set this job of the sweep apart.
        number: Place of the job in the sweep.
    """

    command: Sequence[str]
    folder: Path
    overrides: Sequence[str]
    number: int

    def __call__(self) -> None:
        """Start this process of the run and wait for it.

        Raises:
            SystemExit: If the run failed, or this job is to be requeued.
        """
        first = os.environ["SLURM_PROCID"] == "0"
        try:
            ended = wait_for(start(self.command, resources=None, alone=False))
        except SystemExit:  # a signal arrived, and the run has saved
            if first and not self._has_finished() and may_go_on(os.environ["SLURM_JOB_ID"]):
                signal.raise_signal(getattr(signal, f"SIG{SIGNAL}"))  # submitit requeues the job
            return
        if ended.error is not None:
            if error_of(self.folder) is None:  # keep the reason that the first process recorded
                write_record(self.folder, self.overrides, self.number, ended.error)
            raise SystemExit(1)  # so that SLURM ends the other processes

    def checkpoint(self) -> Any:
        """Return the same job for submitit to requeue; it resumes from the last checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _has_finished(self) -> bool:
        status = read_status(self.folder)
        return status is not None and status.state == "finished"
