"""What a command line starts: a new run, or the run that it goes on with."""

__all__ = ["Start", "composed_for", "start_of"]

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
from limner.resume.find_run import What, among, has_checkpoint, in_folder
from limner.resume.merge_config import with_saved_overrides
from limner.resume.overrides import (
    config_dirs,
    is_sweep,
    last,
    only_shows,
    parted,
    quoted,
    without,
)
from limner.resume.saved import read_overrides
from limner.resume.shared_folder import together
from limner.runs.links import refuse_links
from limner.runs.lock import being_trained, is_locked
from limner.runs.names import suffix
from limner.runs.status import read_status
from limner.version import refuse_newer, refuse_other_format


@dataclass(frozen=True)
class Start:
    """How a command is to be run.

    Args:
        arguments: What Hydra composes the config of; None if there is nothing to do.
        words: What means the same to the further processes of the run, which Lightning starts.
        folder: The run to go on with, or None for a new one.
        complete: Whether the composed config is what that run goes on with; else it is only the
            difference that counts which the command makes to the saved one.
        note: What to tell about a choice that was not the user's, or not the folder's.
        sweep: The folder of a sweep, where the command is one.
    """

    arguments: list[str] | None
    words: list[str]
    folder: Path | None = None
    complete: bool = False
    note: str | None = None
    sweep: Path | None = None


def start_of(words: Sequence[str]) -> Start:
    """What the words of a command line start.

    Raises:
        UserError: If `resume=` names no run, or one that cannot be gone on with, or `auto` finds
            several; or if a folder that is not empty is named for a new run.
    """
    words = together(words, _chosen)
    given, sweep = last(words, "resume"), last(words, "sweep")
    if sweep not in (None, "null") and not is_sweep(words):
        raise UserError(f"sweep={sweep} names a sweep of several runs: add -m.")
    if given in (None, "", "null"):
        if is_first_process() and not only_shows(words):
            _refuse_used_folder(last(words, "hydra.run.dir"))
        return _sweep(words) if is_sweep(words) else _new(words)
    if is_sweep(words):
        raise UserError(f"resume={given}: one run is gone on with at a time; leave out -m.")
    if given == "auto":
        return _automatic(without(words, "resume"))
    folder, other = _run_folder(given), last(words, "hydra.run.dir")
    if other is not None and Path(other).resolve() != folder:
        raise UserError(f"resume={given} goes on in the run's own folder, not in {other}")
    rest, saved = without(without(words, "resume"), "hydra.run.dir"), read_overrides(folder)
    arguments = [*with_saved_overrides(rest, saved.kept), *_in_place(folder)]
    return Start(arguments, list(words), folder, note=saved.note)


def _sweep(words: Sequence[str]) -> Start:
    """A sweep in the folder that is named, or one named by the time; begun or gone on with."""
    name, folder = last(words, "sweep"), last(words, "hydra.sweep.dir")
    rest = without(without(words, "sweep"), "hydra.sweep.dir")
    if name not in (None, "null") and not re.fullmatch(r"\w[\w.+-]*", name):
        raise UserError(f"sweep={name}: a name of letters, digits, dots, dashes and underscores.")
    if folder is None:
        now = f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{suffix()}"
        folder = f"outputs/sweeps/{now if name in (None, 'null') else name}"
    elif name not in (None, "null"):
        raise UserError(f"sweep={name} is the folder outputs/sweeps/{name}, not {folder}")
    own = [f"hydra.sweep.dir={quoted(folder)}", "hydra.output_subdir=null"]  # jobs write .hydra
    begins = None if only_shows(words) else Path(folder)
    return Start([*rest, *own], list(words), sweep=begins)


def _chosen(words: Sequence[str]) -> Path:
    """The folder that a process alone would take for a new run, or for `resume=auto`."""
    given = last(words, "hydra.run.dir")
    if last(words, "resume") != "auto":
        _refuse_used_folder(given)
    if given is not None:
        return Path(given)
    config, folder = composed_for(without(words, "resume"))
    found = among(folder.parent, config).folder if last(words, "resume") == "auto" else None
    return folder if found is None else found


def _automatic(words: list[str]) -> Start:
    """What `resume=auto` comes to, for the rest of the command's words."""
    if only_shows(words):
        return _new(words)
    config, folder = composed_for(words)
    in_use = folder.is_dir() and any(folder.iterdir())
    if last(words, "hydra.run.dir") is None and not in_use:
        if started_outside() > 1:
            raise UserError(
                "resume=auto: the processes that srun starts choose by themselves; "
                "tell them the folder: hydra.run.dir=DIR"
            )
        found, note = among(folder.parent, config)
        return _new(words, note) if found is None else _going_on(words, found, note)
    shown, what = os.path.relpath(folder), in_folder(folder, config)
    if what is What.GO_ON:
        return _going_on(words, folder, f"resume=auto: going on with {shown}.")
    if what is What.NOTHING:
        update = read_status(folder).update
        note = f"resume=auto: the run in {shown} has finished, at update {update}."
        return Start(None, words, note=note)
    killed = f"resume=auto: the start in {shown} left no checkpoint; it is begun anew."
    return _new(words, killed if in_use else None)


def _new(words: Sequence[str], note: str | None = None) -> Start:
    arguments = list(words)
    if not is_first_process() and last(words, "hydra.output_subdir") is None:
        arguments.append("hydra.output_subdir=null")  # the first process writes .hydra
    return Start(arguments, list(words), note=note)


def _going_on(words: list[str], folder: Path, note: str) -> Start:
    _refuse_other_version(folder)
    folder, words = folder.resolve(), without(words, "hydra.run.dir")
    rest = [*words, f"resume={quoted(folder)}"]
    return Start([*words, *_in_place(folder)], rest, folder, complete=True, note=note)


def _in_place(folder: Path) -> list[str]:
    if "${" in str(folder):  # Hydra would read by it
        raise UserError(f"resume={folder}: rename the folder, which has ${{ in its name.")
    where = quoted(folder)
    return [f"resume={where}", f"hydra.run.dir={where}", "hydra.output_subdir=null"]


def _run_folder(given: str) -> Path:
    """The folder that `resume=` names. Raises `UserError` if there is no run to go on with."""
    folder = Path(given).expanduser().resolve()
    if not (folder / ".hydra" / "config.yaml").is_file():
        raise UserError(f"resume={given}: there is no run in this folder (no .hydra/config.yaml).")
    if is_first_process() and is_locked(folder):
        raise UserError(being_trained(folder))
    if not has_checkpoint(folder):
        raise UserError(f"resume={given}: the run has no checkpoint to go on from yet.")
    refuse_links(folder)
    _refuse_other_version(folder)
    return folder


def _refuse_other_version(folder: Path) -> None:
    status = read_status(folder)
    refuse_newer(status and status.version, os.path.relpath(folder))
    if status is not None and status.version:  # else training looks at the checkpoint
        refuse_other_format(status.format, os.path.relpath(folder))


def _refuse_used_folder(given: str | None) -> None:
    """Raises `UserError` if a new run is to be in a folder with something in it."""
    folder = Path(given).expanduser() if given else None
    if folder is not None and folder.is_dir() and any(folder.iterdir()):
        raise UserError(
            f"hydra.run.dir={given} is not empty. To go on with the run in it: resume={given}"
        )


def composed_for(words: Sequence[str]) -> tuple[DictConfig, Path]:
    """What a command's config would be, and the folder that it would get."""
    overrides, own = parted(words)[1], config_dirs(words)
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
