"""Decide what a command line starts: a new run, a sweep, or the continuation of a run."""

__all__ = ["Start", "composed_for", "decide_start"]

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from limner.config.schema import CONFIG_DIR
from limner.errors import UserError
from limner.launch.environment import started_outside
from limner.processes import is_first_process
from limner.resume.find_run import Action, action_in_folder, find_unfinished, has_checkpoint
from limner.resume.merge_config import with_saved_overrides
from limner.resume.overrides import (
    common_keys,
    config_dirs,
    is_sweep,
    last_value,
    only_shows,
    quoted,
    split_flags,
    without_key,
)
from limner.resume.saved_config import read_overrides
from limner.resume.shared_folder import agree_on_run_folder
from limner.runs.links import refuse_links
from limner.runs.lock import being_trained, is_locked
from limner.runs.names import suffix
from limner.runs.status import read_status
from limner.version import refuse_newer, refuse_other_format

COMMON = "hydra.job.config.override_dirname.exclude_keys"
"""Hydra's key that lists the keys to leave out of the names of a sweep's job folders."""


@dataclass(frozen=True)
class Start:
    """The decision on a command line.

    Args:
        arguments: Words from which Hydra composes the config; None if there is nothing to do.
        words: Equivalent words for the further processes that Lightning starts.
        folder: Folder of the run to resume, or of a finished run; None for a new run.
        complete: Whether the composed config is the whole config of the resumed run. If not, only
            the changes that the command makes to the saved config count.
        note: Message about a choice that limner made; None if there is none.
        sweep: Folder of the sweep, if the command is one.
    """

    arguments: list[str] | None
    words: list[str]
    folder: Path | None = None
    complete: bool = False
    note: str | None = None
    sweep: Path | None = None


def decide_start(words: Sequence[str]) -> Start:
    """Return the decision on the words of a command line: new run, sweep, resume, or nothing.

    Raises:
        UserError: If `resume=` names no run or a run that cannot be resumed, if `resume=auto`
            finds several runs, or if the folder for a new run is not empty.
    """
    words = agree_on_run_folder(words, _chosen)
    given, sweep = last_value(words, "resume"), last_value(words, "sweep")
    if sweep not in (None, "null") and not is_sweep(words):
        raise UserError(f"sweep={sweep} names a sweep of several runs: add -m.")
    if given == "":
        raise UserError("resume= has no value: write resume=FOLDER, resume=auto or resume=null")
    if given in (None, "null"):
        if is_first_process() and not only_shows(words):
            _refuse_used_folder(last_value(words, "hydra.run.dir"))
        return _sweep(words) if is_sweep(words) else _new(words)
    if is_sweep(words):
        raise UserError(f"resume={given}: one run is resumed at a time; leave out -m.")
    if given == "auto":
        return _automatic(without_key(words, "resume"))
    folder, other = _run_folder(given), last_value(words, "hydra.run.dir")
    if other is not None and Path(other).resolve() != folder:
        raise UserError(f"resume={given} resumes in the run's own folder, not in {other}")
    rest, saved = (
        without_key(without_key(words, "resume"), "hydra.run.dir"),
        read_overrides(folder),
    )
    arguments = [*with_saved_overrides(rest, saved.kept), *_in_place(folder)]
    return Start(arguments, list(words), folder, note=saved.note)


def _sweep(words: Sequence[str]) -> Start:
    """Start or continue a sweep in its named folder; without a name, the time names the folder."""
    name, folder = last_value(words, "sweep"), last_value(words, "hydra.sweep.dir")
    rest = without_key(without_key(words, "sweep"), "hydra.sweep.dir")
    if name not in (None, "null") and not re.fullmatch(r"\w[\w.+-]*", name):
        raise UserError(
            f"sweep={name}: a name may have letters, digits, dots, dashes and underscores."
        )
    if folder is None:
        now = f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{suffix()}"
        folder = f"outputs/sweeps/{now if name in (None, 'null') else name}"
    elif name not in (None, "null"):
        raise UserError(f"sweep={name} is the folder outputs/sweeps/{name}, not {folder}")
    # Hydra would write .hydra into a job's folder, over the records of an earlier start, before
    # it calls limner (test_sweep_repeats_only_jobs_that_are_missing_or_failed).
    own = [f"hydra.sweep.dir={quoted(folder)}", "hydra.output_subdir=null"]
    if last_value(words, COMMON) is None and (common := common_keys(rest)):
        own.append(f"{COMMON}=[{','.join(map(quoted, common))}]")
    begins = None if only_shows(words) else Path(folder)
    return Start([*rest, *own], list(words), sweep=begins)


def _chosen(words: Sequence[str]) -> Path:
    """Return the folder that a single process would use for a new run, or for `resume=auto`."""
    given = last_value(words, "hydra.run.dir")
    if last_value(words, "resume") != "auto":
        _refuse_used_folder(given)
    if given is not None:
        return Path(given)
    config, folder = composed_for(without_key(words, "resume"))
    found = (
        find_unfinished(folder.parent, config).folder
        if last_value(words, "resume") == "auto"
        else None
    )
    return folder if found is None else found


def _automatic(words: list[str]) -> Start:
    """Decide `resume=auto`, given the other words of the command."""
    if only_shows(words):
        return _new(words)
    config, folder = composed_for(words)
    in_use = folder.is_dir() and any(folder.iterdir())
    if last_value(words, "hydra.run.dir") is None and not in_use:
        if started_outside() > 1:
            raise UserError(
                "resume=auto: processes started by srun cannot agree on a folder. Set it: "
                "hydra.run.dir=DIR"
            )
        found, note = find_unfinished(folder.parent, config)
        return _new(words, note) if found is None else _resume(words, found, note)
    shown, what = os.path.relpath(folder), action_in_folder(folder, config)
    if what is Action.RESUME:
        return _resume(words, folder, f"resume=auto: resuming {shown}.")
    if what is Action.NOTHING:
        update = read_status(folder).update
        note = f"resume=auto: the run in {shown} has finished, at update {update}."
        return Start(None, words, folder, note=note)
    killed = f"resume=auto: the start in {shown} left no checkpoint; it starts again."
    return _new(words, killed if in_use else None)


def _new(words: Sequence[str], note: str | None = None) -> Start:
    arguments = list(words)
    if not is_first_process() and last_value(words, "hydra.output_subdir") is None:
        arguments.append("hydra.output_subdir=null")  # the first process writes .hydra
    return Start(arguments, list(words), note=note)


def _resume(words: list[str], folder: Path, note: str) -> Start:
    _refuse_other_version(folder)
    folder, words = folder.resolve(), without_key(words, "hydra.run.dir")
    rest = [*words, f"resume={quoted(folder)}"]
    return Start([*words, *_in_place(folder)], rest, folder, complete=True, note=note)


def _in_place(folder: Path) -> list[str]:
    if "${" in str(folder):  # Hydra would resolve it
        raise UserError(f"resume={folder}: rename the folder, which has ${{ in its name.")
    where = quoted(folder)
    return [f"resume={where}", f"hydra.run.dir={where}", "hydra.output_subdir=null"]


def _run_folder(given: str) -> Path:
    """Return the folder that `resume=` names; raise UserError if no run in it can be resumed."""
    folder = Path(given).expanduser().resolve()
    if not (folder / ".hydra" / "config.yaml").is_file():
        raise UserError(f"resume={given}: there is no run in this folder (no .hydra/config.yaml).")
    if is_first_process() and is_locked(folder):
        raise UserError(being_trained(folder))
    if not has_checkpoint(folder):
        raise UserError(f"resume={given}: the run has no checkpoint to resume from yet.")
    refuse_links(folder)
    _refuse_other_version(folder)
    return folder


def _refuse_other_version(folder: Path) -> None:
    status = read_status(folder)
    refuse_newer(status and status.version, os.path.relpath(folder))
    if status is not None and status.version:  # else training checks the checkpoint's version
        refuse_other_format(status.format, os.path.relpath(folder))


def _refuse_used_folder(given: str | None) -> None:
    """Raise UserError if the folder given for a new run is not empty."""
    folder = Path(given).expanduser() if given else None
    if folder is not None and folder.is_dir() and any(folder.iterdir()):
        raise UserError(
            f"hydra.run.dir={given} is not empty. To resume the run in it: resume={given}"
        )


def composed_for(words: Sequence[str]) -> tuple[DictConfig, Path]:
    """Compose the config of a command; return it and the run folder that it would get."""
    overrides, own = split_flags(words)[1], config_dirs(words)
    if own:
        path = quoted(f"file://{Path(own[-1]).resolve()}")
        overrides = [*overrides, f"hydra.searchpath=[{path}]"]
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = compose("train", overrides=overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    folder = Path(config.hydra.run.dir)
    with open_dict(config):
        del config.hydra
    return config, folder
