"""A study of Optuna that several workers share; any worker may be killed.

With a journal, a worker holds a file lock for each trial that it runs; the lock is released when
the worker dies. With a database, which may be shared without a common disk, Optuna's heartbeat
shows that the worker lives. Every search for the next trial requeues trials whose worker is gone.
"""

__all__ = ["SAMPLERS", "Study", "Trial"]

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.storages._heartbeat import get_heartbeat_thread
from optuna.trial import FrozenTrial, TrialState

from limner.commands.search.space import Space
from limner.commands.search.storages import database, journal, keep

log = logging.getLogger(__name__)

SAMPLERS = {
    "tpe": lambda: optuna.samplers.TPESampler(constant_liar=True),  # counts running trials too
    "random": optuna.samplers.RandomSampler,
    "cmaes": optuna.samplers.CmaEsSampler,
    # Unused: the whole grid is queued at the start. Optuna's GridSampler can end a study only in
    # `optimize`, and several workers try points twice.
    # test_search_tries_each_point_of_a_grid_once
    "grid": optuna.samplers.RandomSampler,
}
PRUNERS = {"median": optuna.pruners.MedianPruner, "none": optuna.pruners.NopPruner}
MAX_REQUEUED = 3
"""Number of times that a trial is requeued after its worker died; the trial may be the cause."""


class Trial(NamedTuple):
    """A trial that this worker runs, with the file lock that reserves it."""

    asked: optuna.Trial
    lock: FileLock
    folder: Path


class Study:
    """A study in a folder; an existing study is continued.

    Args:
        folder: Folder of the trials and the journal; its name is the study's name.
        space: Keys and values to try.
        storage: URL of a database; None for a journal in the folder.
        sampler: Key of SAMPLERS.
        pruner: "median" or "none".
        objective: Mapping with the keys `name` and `mode` ("min" or "max").

    Raises:
        UserError: If the study exists with another space or objective.
    """

    def __init__(
        self,
        folder: Path,
        space: Space,
        *,
        storage: str | None,
        sampler: str,
        pruner: str,
        objective: Mapping[str, str],
    ) -> None:
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder, self.space = folder, space
        self.objective = {"name": objective["name"], "mode": objective["mode"]}
        (folder / ".locks").mkdir(parents=True, exist_ok=True)
        self._requeue = RetryHeartbeatStaleTrialCallback(max_retry=MAX_REQUEUED)
        with self._alone():
            self.optuna = optuna.create_study(
                study_name=folder.name,
                load_if_exists=True,
                storage=journal(folder) if storage is None else database(storage, self._requeue),
                direction={"min": "minimize", "max": "maximize"}[objective["mode"]],
                sampler=SAMPLERS[sampler](),
                pruner=PRUNERS[pruner](),
            )
            defined = {"space": space.written, "train": space.train, "objective": self.objective}
            keep(self.optuna, defined)
            for values in space.grid() if sampler == "grid" else ():
                self.optuna.enqueue_trial(values, skip_if_exists=True)
        self._has_locks = storage is None
        self._only_queued = sampler == "grid"

    def trials(self) -> list[FrozenTrial]:
        """Return all trials except those that were requeued under another number."""
        trials = self.optuna.get_trials(deepcopy=False)
        history = RetryHeartbeatStaleTrialCallback.retry_history
        again = {number for trial in trials for number in history(trial)}
        return [trial for trial in trials if trial.number not in again]

    @staticmethod
    def error(trial: FrozenTrial) -> str | None:
        """Return why a trial failed; None if it did not fail."""
        lost = "its workers were killed" if trial.state == TrialState.FAIL else None
        return trial.user_attrs.get("error", lost)

    def next(self, num_trials: int) -> tuple[Trial | None, bool]:
        """Return the next trial or None, and whether there is a trial now or may be one later."""
        with self._alone():
            self._requeue_lost()
            trials = self.trials()
            begun = [trial for trial in trials if trial.state != TrialState.WAITING]
            free = len(begun) < len(trials) or not self._only_queued
            if len(begun) < num_trials and free:
                return self._asked(), True
            return None, any(trial.state == TrialState.RUNNING for trial in begun)

    @contextlib.contextmanager
    def held(self, trial: Trial) -> Iterator[None]:
        """Hold a trial during a block, so that no other worker requeues it."""
        try:
            with get_heartbeat_thread(trial.asked._trial_id, self.optuna._storage):
                yield
        finally:
            trial.lock.release()

    def finished(self, trial: Trial, value: float) -> None:
        """Record that a trial finished, with the value of the objective."""
        self.optuna.tell(trial.asked, value)

    def pruned(self, trial: Trial) -> None:
        """Record that the pruner stopped a trial."""
        self.optuna.tell(trial.asked, state=TrialState.PRUNED)

    def failed(self, trial: Trial, error: str) -> None:
        """Record that a trial crashed or diverged.

        Optuna records the trial as pruned. Its samplers learn nothing from a failed trial, and
        would try similar values again
        (test_search_reports_the_best_trial_and_continues_when_called_again).
        """
        trial.asked.set_user_attr("error", error)
        self.optuna.tell(trial.asked, state=TrialState.PRUNED)

    def queue_again(self, trial: Trial) -> None:
        """Requeue a trial that was stopped; the worker that takes it resumes its run."""
        frozen = self.optuna.tell(trial.asked, state=TrialState.FAIL)
        self._requeue(self.optuna, frozen)

    def _alone(self) -> FileLock:
        return FileLock(self.folder / ".locks" / "study")

    def _lock_of(self, number: int) -> FileLock:
        return FileLock(self.folder / ".locks" / f"trial_{number:04d}", thread_local=False)

    def _asked(self) -> Trial:
        """Ask for a trial, while this worker holds the lock of the study.

        `ask` makes a trial RUNNING before its lock can be held. Without the study's lock, another
        worker would requeue it (test_search_requeues_a_trial_whose_worker_has_died).
        """
        with warnings.catch_warnings(action="ignore"):  # Optuna expects heartbeats in `optimize`
            asked = self.optuna.ask(dict(self.space.distributions))
        lock = self._lock_of(asked.number)
        lock.acquire()
        name = asked.user_attrs.get("folder", f"trial_{asked.number:04d}")
        asked.set_user_attr("folder", name)  # a requeued trial keeps its folder
        return Trial(asked, lock, self.folder / name)

    def _requeue_lost(self) -> None:
        if not self._has_locks:
            optuna.storages.fail_stale_trials(self.optuna)
            return
        for trial in self.optuna.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            lock = self._lock_of(trial.number)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            lock.release()
            if self.optuna.get_trials(deepcopy=False)[trial.number].state.is_finished():
                continue  # its worker finished it and released the lock just now
            log.warning("Trial %d: its worker has gone; it is queued again.", trial.number)
            self._requeue(self.optuna, self.optuna.tell(trial.number, state=TrialState.FAIL))
