"""A study of Optuna's that several workers share, of which any may be killed.

A trial that is being tried is held by a lock beside its folder, which goes with its worker; in a
database, which may be shared without a common disk, by Optuna's heartbeat. Whoever looks for the
next trial queues those again whose worker has gone.
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
    "tpe": lambda: optuna.samplers.TPESampler(constant_liar=True),  # what others try now counts
    "random": optuna.samplers.RandomSampler,
    "cmaes": optuna.samplers.CmaEsSampler,
    "grid": optuna.samplers.RandomSampler,  # all is queued beforehand
}
PRUNERS = {"median": optuna.pruners.MedianPruner, "none": optuna.pruners.NopPruner}
MAX_REQUEUED = 3
"""How often a trial is queued again whose worker died: it may be the trial that kills it."""


class Trial(NamedTuple):
    """A trial that this worker holds."""

    asked: optuna.Trial
    lock: FileLock
    folder: Path


class Study:
    """A study in a folder, begun or gone on with.

    Args:
        folder: For trials, and the journal; its name is the study's.
        space: What to try.
        storage: URL of a database; None for a journal in the folder.
        sampler: One of SAMPLERS.
        pruner: "median" or "none".
        objective: {name, mode: min or max}.

    Raises:
        UserError: If the study was begun with another space or objective.
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
        """All but those that were queued again."""
        trials = self.optuna.get_trials(deepcopy=False)
        history = RetryHeartbeatStaleTrialCallback.retry_history
        again = {number for trial in trials for number in history(trial)}
        return [trial for trial in trials if trial.number not in again]

    @staticmethod
    def error(trial: FrozenTrial) -> str | None:
        """What a trial failed by, or None."""
        lost = "its workers were killed" if trial.state == TrialState.FAIL else None
        return trial.user_attrs.get("error", lost)

    def next(self, num_trials: int) -> tuple[Trial | None, bool]:
        """A trial to try, and whether there may be one later, if there is none now."""
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
        """Keeps a trial to this worker, for as long as that lives."""
        try:
            with get_heartbeat_thread(trial.asked._trial_id, self.optuna._storage):
                yield
        finally:
            trial.lock.release()

    def finished(self, trial: Trial, value: float) -> None:
        self.optuna.tell(trial.asked, value)

    def pruned(self, trial: Trial) -> None:
        self.optuna.tell(trial.asked, state=TrialState.PRUNED)

    def failed(self, trial: Trial, error: str) -> None:
        """Of a trial that crashed or diverged. To Optuna it is pruned: of a failure it learns
        nothing, and would try the same again."""
        trial.asked.set_user_attr("error", error)
        self.optuna.tell(trial.asked, state=TrialState.PRUNED)

    def queue_again(self, trial: Trial) -> None:
        """Of a trial that was stopped: whoever takes it goes on with its run."""
        frozen = self.optuna.tell(trial.asked, state=TrialState.FAIL)
        self._requeue(self.optuna, frozen)

    def _alone(self) -> FileLock:
        return FileLock(self.folder / ".locks" / "study")

    def _lock_of(self, number: int) -> FileLock:
        return FileLock(self.folder / ".locks" / f"trial_{number:04d}", thread_local=False)

    def _asked(self) -> Trial:
        with warnings.catch_warnings(action="ignore"):  # that heartbeats are for `optimize`
            asked = self.optuna.ask(dict(self.space.distributions))
        lock = self._lock_of(asked.number)
        lock.acquire()
        name = asked.user_attrs.get("folder", f"trial_{asked.number:04d}")
        asked.set_user_attr("folder", name)  # a trial that is queued again keeps it
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
                continue  # only now: by a worker that let go of it just before
            log.warning("Trial %d: its worker has gone; it is queued again.", trial.number)
            self._requeue(self.optuna, self.optuna.tell(trial.number, state=TrialState.FAIL))
