"""Find the run that `resume=auto` resumes.

Without `hydra.run.dir`, this is the unfinished run of the same config in the parent folder of a
new run. With `hydra.run.dir`, it is the run in that folder, so that repeating the same command
ends with one finished run.
"""

__all__ = ["action_in_folder", "find_unfinished", "has_checkpoint", "saved_config"]

import shutil
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from limner.console import shown
from limner.errors import UserError
from limner.files.atomic import PARTIAL
from limner.processes import is_first_process
from limner.resume.allowed_changes import differences, refuse_changes, same_length
from limner.resume.saved_config import NotWhole, read_config
from limner.runs.lock import being_trained, is_locked
from limner.runs.status import Status, read_status
from limner.version import FORMAT, refuse_other_format

OURS = (
    ".hydra", ".lock", "checkpoints", "config.yaml", "environment.txt", "events.out.tfevents.*",
    "final.png", "final_*.png", "metrics.csv", "profile", "reports.csv", "samples", "scores.json",
    "status.json", "tensorboard", "train.log", "wandb",
)  # fmt: skip
"""Patterns of the names that training writes into a run folder, except *.partial files."""


class Action(Enum):
    """Action that a command takes in a run folder."""

    BEGIN = "begin"
    RESUME = "resume"
    NOTHING = "nothing"


class Found(NamedTuple):
    """The run to resume, if there is one, and a message about the choice."""

    folder: Path | None
    note: str


def action_in_folder(folder: Path, config: DictConfig) -> Action:
    """Return the action of a run of `config` in this folder.

    A run that was killed before its first checkpoint cannot be resumed, so the first process
    removes the files of that run.

    Raises:
        UserError: If the folder holds another run or other files, or a process trains there.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        return Action.BEGIN
    name, saved, status = (
        f"hydra.run.dir={shown(folder)}",
        saved_config(folder, config),
        read_status(folder),
    )
    names = {path.name for path in folder.iterdir() if path.suffix != PARTIAL}
    foreign = sorted(name for name in names if not any(fnmatchcase(name, ours) for ours in OURS))
    if saved is None and foreign:
        raise UserError(f"{name} is not empty ({foreign[0]}), and there is no run in it.")
    if saved is None and has_checkpoint(folder):
        raise UserError(
            f"{name}: .hydra/config.yaml cannot be read, so the run in this folder is unknown."
        )
    if is_first_process() and is_locked(folder):
        raise UserError(being_trained(folder))
    if status is not None and status.version:
        refuse_other_format(status.format, name)
    if saved is not None:
        refuse_changes(saved, config, name, "For a new run, choose another folder.")
    finished = status is not None and status.state == "finished"
    if finished and (saved is None or same_length(saved, config)):
        return Action.NOTHING
    if has_checkpoint(folder):
        return Action.RESUME
    if finished or foreign:
        raise UserError(
            f"{name}: the run in this folder has no checkpoint to resume from. It is not "
            "removed because "
            + ("it has finished." if finished else f"there are other files ({foreign[0]}).")
        )
    if is_first_process():
        _clear(folder)
    return Action.BEGIN


def find_unfinished(parent: Path, config: DictConfig) -> Found:
    """Find the one unfinished run of `config` below `parent` that no process is training.

    Raises:
        UserError: If there are several such runs.
    """
    found: list[tuple[Path, Status]] = []
    busy: list[Path] = []
    other_format: list[Path] = []
    for folder in sorted(parent.iterdir()) if parent.is_dir() else []:
        status = read_status(folder)
        if status is None or status.state == "finished":
            continue
        if status.version and status.format != FORMAT:
            other_format.append(folder)
            continue
        try:
            saved = saved_config(folder, config)
        except UserError:
            continue
        if saved is None or differences(saved, config):
            continue
        if is_locked(folder):
            busy.append(folder)
        elif has_checkpoint(folder):
            found.append((folder, status))
    if len(found) > 1:
        found.sort(key=lambda pair: pair[1].changed, reverse=True)
        lines = [f"  {shown(folder)}: {_told(status)}" for folder, status in found]
        raise UserError(
            "\n".join(["resume=auto: these runs of this config are unfinished:", *lines])
            + "\nChoose one: resume=DIR"
        )
    if found:
        folder, status = found[0]
        return Found(folder, f"resume=auto: resuming {shown(folder)}, {_told(status)}.")
    older = (
        f" ({shown(other_format[0])} is unfinished too, but only the version of limner that "
        "saved it can resume it)"
        if other_format
        else ""
    )
    besides = f", because {shown(busy[0])} is being trained now" if busy else ""
    return Found(
        None, f"resume=auto: no unfinished run of this config in {shown(parent)}: a new run "
              f"starts{besides}{older}.",
    )  # fmt: skip


def has_checkpoint(folder: Path) -> bool:
    """Return whether a run has a checkpoint to resume from; best.ckpt does not count."""
    found = (folder / "checkpoints").glob("*.ckpt")
    return any(path.name != "best.ckpt" and path.is_file() for path in found)


def saved_config(folder: Path, present: DictConfig) -> DictConfig | None:
    """Return the saved config of a run; None if it is missing or damaged.

    Args:
        folder: The run folder.
        present: The config of this command.

    Raises:
        UserError: If `limner.resume.saved_config` refuses the saved config.
    """
    try:
        return read_config(folder, present)
    except NotWhole:
        return None


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != ".lock":  # a process that has just started here may hold the lock
            path.unlink()


def _told(status: Status) -> str:
    state = "was killed" if status.state == "running" else status.state
    when = status.changed[:16].replace("T", " ")
    error = f": {status.error}" if status.error else ""
    return f"{state} at update {status.update}" + (f", {when}" if when else "") + error
