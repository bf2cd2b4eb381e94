"""`limner search`: read and check its words, then run the trials of a study."""

__all__ = ["Options", "run"]

import dataclasses
import json
import logging
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from limner.callbacks.scores import Scores
from limner.commands.options import Search as Options
from limner.config.build import build, check
from limner.config.command_options import parse
from limner.config.schema import register
from limner.console import Bar, ConsoleHandler, say
from limner.errors import UserError
from limner.launch.job import environment, failure_reason, train_command
from limner.launch.resources import job_resources
from limner.processes import STOP_SIGNALS
from limner.resume.mistyped import refuse_mistyped
from limner.resume.overrides import key_of, quoted, split_flags
from limner.resume.quoting import with_quotes
from limner.resume.start import composed_for

try:
    from limner.commands.search import results
    from limner.commands.search.space import Space, read
    from limner.commands.search.studies import PRUNERS, SAMPLERS, Study
    from limner.commands.search.workers import Stop, work
except ModuleNotFoundError as error:
    if error.name != "optuna":
        raise
    raise UserError("limner search needs Optuna: pip install limner[search]") from error


SECONDS = 1.0
"""Time between two looks at the study for the progress bar."""
SCORES = f"{Scores.__module__}.{Scores.__qualname__}"
SHORT = {  # overrides for a run of one update, with the end of its epoch
    "metrics": "metrics=none",
    "logger": "logger=none",
    "trainer.max_epochs": "trainer.max_epochs=1",
    "trainer.max_steps": "trainer.max_steps=-1",
    "trainer.limit_train_batches": "trainer.limit_train_batches=1",
    "trainer.limit_val_batches": "trainer.limit_val_batches=1",
}


def run(words: Sequence[str]) -> int:
    """Run `limner search` with these words, and return the exit code.

    Raises:
        UserError: If the space, the study or the objective does not fit. No trial is queued then.
    """
    register()
    refuse_mistyped(words)
    flags, words = split_flags(with_quotes(words, may_sweep=False))
    names = [field.name for field in dataclasses.fields(Options)]
    options = parse([word for word in words if key_of(word) in names], Options)
    space = read(options.space, [word for word in words if key_of(word) not in names])
    num_trials = _checked(options, space)
    configs = [_composed(space.overrides(values), flags) for values in space.corners()]
    objective = _objective(configs[0], space, flags)
    study = Study(
        Path("outputs/searches", options.study).absolute(),
        space,
        storage=options.storage,
        sampler=options.sampler,
        pruner=options.pruner,
        objective=objective,
    )
    _listen()
    stopped = _work(study, options, num_trials=num_trials, flags=flags)
    found = results.tell(study, has_ended=not stopped)
    if stopped:
        raise UserError("Stopped. The same command resumes the study.")
    return 0 if found else 1


def _checked(options: Options, space: Space) -> int:
    """Return the number of trials; raise UserError for invalid options."""
    if re.fullmatch(r"\w[\w.+-]*", options.study) is None:
        raise UserError(
            f"study={options.study}: a name may have letters, digits, dots, dashes "
            "and underscores."
        )
    for key, known in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
        if (given := getattr(options, key)) not in known:
            raise UserError(f"{key}={given}: there are: {', '.join(known)}")
    if options.num_workers < 1:
        raise UserError(f"num_workers={options.num_workers}: must be 1 or more.")
    if options.num_trials is None and options.sampler != "grid":
        raise UserError("num_trials must be given: num_trials=...")
    if options.num_trials is not None and options.num_trials < 1:
        raise UserError(f"num_trials={options.num_trials}: must be 1 or more.")
    size = len(space.grid()) if options.sampler == "grid" else None
    return options.num_trials if options.num_trials is not None else size


def _composed(overrides: Sequence[str], flags: Sequence[str]) -> DictConfig:
    """Compose the config of a trial, and check it as `train.py` would."""
    config, _ = composed_for([*flags, *overrides])
    config.run_dir = "."
    check(config)
    return config


def _objective(config: DictConfig, space: Space, flags: Sequence[str]) -> dict[str, str]:
    """Return the objective; raise UserError if trials do not report it."""
    objective = config.metrics.objective
    if objective is None:
        raise UserError(
            "A search needs an objective, but metrics=auto and metrics=none set none before "
            "training.\n"
            "Choose metrics=classifier, metrics=lite0, metrics=inception, or a value of the "
            "model's own:\n"
            "metrics=none 'metrics.objective={name: val/loss, mode: min}'"
        )
    if objective.get("mode") not in ("min", "max") or not objective.get("name"):
        raise UserError(f"metrics.objective={objective}: must have a name, and mode: min or max.")
    scored = build(config, "metrics").names if config.metrics.get("_target_") == SCORES else set()
    if objective.name not in scored:
        reported = _rehearsed(space, flags) | scored
        if objective.name not in reported:
            raise UserError(
                f"metrics.objective.name={objective.name}: the trials report "
                f"{', '.join(sorted(reported)) or 'nothing'}."
            )
    return {"name": objective.name, "mode": objective.mode}


def _rehearsed(space: Space, flags: Sequence[str]) -> set[str]:
    """Train the first trial for one update, and return the names of the reported values."""
    kept = [word for word in space.overrides(next(space.corners())) if key_of(word) not in SHORT]
    kept = [word for word in kept if not key_of(word).startswith("metrics")]
    say("Training one update, to see which values the trials report ...")
    with tempfile.TemporaryDirectory() as folder:
        where = f"hydra.run.dir={quoted(Path(folder, 'run'))}"
        command = [*train_command(), *flags, *kept, *SHORT.values(), where]
        done = subprocess.run(
            command, env=environment(None), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise UserError(failure_reason(done.returncode, done.stderr.splitlines()))
        scores = Path(folder, "run", "scores.json")
        return set(json.loads(scores.read_text())) if scores.exists() else set()


def _work(study: Study, options: Options, *, num_trials: int, flags: Sequence[str]) -> bool:
    """Run the workers to the end, and return whether a signal stopped them."""
    stop, failures = Stop(), []

    def one(index: int) -> None:
        own = job_resources(index, options.num_workers) if options.num_workers > 1 else None
        try:
            work(study, num_trials=num_trials, flags=flags, resources=own, stop=stop)
        except Exception as error:  # such as a lost database
            failures.append(error)
            stop.set()

    def on_signal(number: int, frame: object) -> None:
        stop.ask()
        if not stop.at_once.is_set():
            wait = (
                "Stopping: running trials finish their update and save. A second signal "
                "stops at once.\n"
            )
            os.write(2, wait.encode())  # the signal may have interrupted the console

    previous = [signal.signal(number, on_signal) for number in STOP_SIGNALS]
    threads = [threading.Thread(target=one, args=(i,)) for i in range(options.num_workers)]
    try:
        for thread in threads:
            thread.start()
        with Bar("Search", total=num_trials, unit="trials", completed=_ended(study)) as bar:
            while any(thread.is_alive() for thread in threads):
                for thread in threads:
                    thread.join(SECONDS / len(threads))
                bar.update(_ended(study))
    finally:
        for number, handler in zip(STOP_SIGNALS, previous, strict=True):
            signal.signal(number, handler)
    if failures:
        raise failures[0]
    return stop.is_set()


def _ended(study: Study) -> int:
    """Return the number of trials that have ended."""
    return sum(trial.state.is_finished() for trial in study.trials())


def _listen() -> None:
    """Print log messages about trials."""
    logger = logging.getLogger("limner")
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, ConsoleHandler) for handler in logger.handlers):
        logger.addHandler(ConsoleHandler())
