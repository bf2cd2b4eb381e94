"""A worker, which runs one trial after another, each as a run in its own process and folder."""

__all__ = ["Stop", "work"]

import contextlib
import logging
import math
import signal
import subprocess
import threading
import time
from collections.abc import Sequence

from limner.callbacks.reports import Reports, read_reports
from limner.commands.compare.texts import text
from limner.commands.search.studies import Study, Trial
from limner.console import shown
from limner.launch.job import failure_reason, objective, start, train_command
from limner.launch.resources import JobResources
from limner.resume.overrides import quoted
from limner.runs.lock import is_locked

log = logging.getLogger(__name__)

REPORTS = f"{Reports.__module__}.{Reports.__qualname__}"
SECONDS = 0.5  # interval at which a run is checked
GRACE = 5.0  # seconds in which a trial must end before it is killed


class Stop(threading.Event):
    """Event that stops the workers, gently at the first request and at once at the second.

    After the first request, a running trial finishes its update and saves. In both cases the
    trial is requeued.
    """

    def __init__(self) -> None:
        super().__init__()
        self.at_once = threading.Event()

    def ask(self) -> None:
        """Request a stop, or at the second call a stop at once."""
        if self.is_set():
            self.at_once.set()
        self.set()


def work(
    study: Study,
    *,
    num_trials: int,
    flags: Sequence[str],
    resources: JobResources | None,
    stop: Stop,
) -> None:
    """Run trials until the study has `num_trials`, and no other worker still holds a trial.

    Args:
        study: Study that provides the trials.
        num_trials: Number of trials of all workers together.
        flags: Flags of `train.py` for all trials.
        resources: Cores and GPUs of the trials; None for the whole machine.
        stop: Event that stops and requeues the running trial.
    """
    while not stop.is_set():
        trial, may_come = study.next(num_trials)
        if trial is not None:
            with study.held(trial):
                _try(study, trial, flags=flags, resources=resources, stop=stop)
        elif may_come:
            stop.wait(SECONDS)
        else:
            return


def _try(
    study: Study, trial: Trial, *, flags: Sequence[str], resources: JobResources | None, stop: Stop
) -> None:
    while is_locked(trial.folder) and not stop.wait(SECONDS):
        pass  # the worker of this trial was killed; its run is about to save and stop
    if stop.is_set():
        study.queue_again(trial)
        return
    number, values = trial.asked.number, trial.asked.params
    resumed = trial.folder.name.removeprefix("trial_").lstrip("0") or "0"
    how = "started" if resumed == str(number) else f"resumes trial {resumed}"
    log.info(
        "Trial %d %s: %s -> %s", number, how,
        " ".join(f"{key}={text(value)}" for key, value in values.items()), shown(trial.folder),
    )  # fmt: skip
    wanted = study.objective["name"]
    report = f"+callbacks.reports={{_target_: {REPORTS}, objective: {quoted(wanted)}}}"
    own = [report, "resume=auto", f"hydra.run.dir={quoted(trial.folder)}"]
    command = [*train_command(), *flags, *study.space.overrides(trial.asked.params), *own]
    output = trial.folder.with_suffix(".log")
    with open(output, "a") as file:
        name = f"Trial {number}"
        process = start(command, resources=resources, output=file, name=name, own_session=True)
        pruned = _watched(process, trial, stop)
    value = objective(trial.folder)
    if process.returncode == 0 and value is not None and math.isfinite(value[1]):
        study.finished(trial, value[1])
        log.info("Trial %d: %s = %.4g", number, *value)
    elif process.returncode == 0:
        error = f"{wanted} is {'missing' if value is None else value[1]}"
        study.failed(trial, error)
        log.warning("Trial %d failed: %s", number, error)
    elif pruned:
        study.pruned(trial)
        for last in read_reports(trial.folder)[-1:]:
            log.info(
                "Trial %d pruned: %s = %.4g in epoch %d", number, wanted, last.value, last.epoch
            )
    elif stop.is_set():
        study.queue_again(trial)
        log.info("Trial %d stopped; the same command resumes it.", number)
    else:
        lines = output.read_text(errors="replace").splitlines()
        error = failure_reason(process.returncode, lines) or ""
        study.failed(trial, error)
        log.warning("Trial %d failed: %s (%s)", number, error, shown(output))


def _watched(process: subprocess.Popen, trial: Trial, stop: Stop) -> bool:
    """Wait for a run and report its scores to Optuna; return whether the run was pruned."""
    seen: set[int] = set()
    asked = pruned = False
    limit: float | None = None
    while True:
        ended = process.poll() is not None
        for report in read_reports(trial.folder):
            if report.epoch not in seen and math.isfinite(report.value):
                seen.add(report.epoch)
                # Optuna compares trials at equal steps; updates differ with the batch size
                trial.asked.report(report.value, step=report.epoch)
                pruned = pruned or trial.asked.should_prune()
        if ended:
            return pruned
        if (pruned or stop.is_set()) and not asked:
            asked = True
            process.terminate()
        if stop.at_once.is_set() and limit is None:
            limit = time.monotonic() + GRACE
            process.send_signal(signal.SIGINT)  # after a second signal the run does not save
        if limit is not None and time.monotonic() > limit:
            process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS)
