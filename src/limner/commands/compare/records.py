"""Read a run folder for a comparison; size limits apply, and no code in it is executed."""

__all__ = ["Run", "inside", "read_run"]

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limner.commands.compare.texts import leaves, text
from limner.errors import UserError
from limner.files.plain import NotPlainError, read_yaml, refuse_bulk
from limner.files.printable import printable
from limner.pretrained.safe_build import read_config
from limner.runs.links import leads_out
from limner.runs.lock import is_locked
from limner.runs.scores import read_scores
from limner.runs.status import read_status

MAPPINGS = ("model", "data", "metrics", "callbacks")
"""Parts of a config that are read and must be mappings."""


@dataclass(frozen=True, eq=False)
class Run:
    """Content of one run folder. All texts except the folder are safe to print.

    Args:
        folder: Path as named by the user, or as found.
        config: Leaves of config.yaml: dotted key -> text, as a user would type it.
        choices: Options of the config groups, such as {"model": "gan", "model/loss": "hinge"}.
        typed: Keys that the command line of the run set.
        scores: Content of scores.json, name -> {value, protocol, ...}; empty if it is missing.
        refused: Reason why config.yaml or Hydra's records cannot be read, or None.
        stage: State of an unfinished run from status.json, or None.
        problem: Reason why the scores of the run cannot be compared, or None.
    """

    folder: Path
    config: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)
    typed: frozenset[str] = frozenset()
    scores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    refused: str | None = None
    stage: str | None = None
    problem: str | None = None

    @property
    def seed(self) -> str:
        """Seed of the run as text; "null" if the config has none."""
        return self.config.get("seed", "null")

    @property
    def title(self) -> str:
        """Path of the folder, safe to print."""
        return printable(self.folder)


def read_run(folder: Path) -> Run:
    """Read config.yaml, scores.json and Hydra's records; errors become reasons in the result."""
    stage = _stage(folder)
    try:
        config = _config(folder)
        choices, typed = _hydra(folder)
    except NotPlainError as error:
        reason = printable(error)
        if stage is not None and not os.path.lexists(folder / "config.yaml"):
            reason = stage
        return Run(folder, refused=reason, stage=stage, problem=reason)
    values = leaves(config)
    if config.get("run_dir"):
        here = printable(config["run_dir"])
        values = {key: value.replace(here, ".") for key, value in values.items()}
    scores: dict[str, Mapping[str, Any]] = {}
    try:
        for name, entry in read_scores(inside(folder, "scores.json")).items():
            how = leaves(entry["protocol"])
            scores[printable(name)] = {**entry, "value": float(entry["value"]), "protocol": how}
        problem = stage or _unfinished(folder, values, scores)
    except NotPlainError as error:
        problem = f"scores.json is not whole: {printable(error)}"
    return Run(
        folder, values, choices or _chosen(config), typed, scores, stage=stage, problem=problem
    )


def inside(folder: Path, *names: str) -> Path:
    """Return the path of a file of a run, or raise NotPlainError if a link leads elsewhere."""
    path = folder.joinpath(*names)
    if leads_out(path, folder):
        raise NotPlainError(f"{names[-1]} is refused because it leads out of the folder")
    return path


def _stage(folder: Path) -> str | None:
    """Return the progress of an unfinished run; None if the run has finished or has no status."""
    try:
        inside(folder, "status.json")
    except NotPlainError as error:
        return printable(error)
    status = read_status(folder)
    if status is None or status.state == "finished":
        return None
    lock = folder / ".lock"
    if (
        status.state == "running"
        and lock.is_file()
        and not lock.is_symlink()
        and is_locked(folder)
    ):
        return f"is being trained, at update {status.update} or later"
    state = "was killed" if status.state == "running" else printable(status.state)
    error = f": {printable(status.error)}" if status.error else ""
    return f"{state} after update {status.update}{error}"


def _config(folder: Path) -> Mapping[str, Any]:
    if not os.path.lexists(folder / "config.yaml"):
        raise NotPlainError("never began to train (no whole config.yaml)")
    try:
        config = read_config(inside(folder, "config.yaml"))
    except UserError as error:
        start = f"{printable(folder, keep_newlines=True)}{os.sep}"
        raise NotPlainError(str(error).removeprefix(start).rstrip(".")) from error
    refuse_bulk(config, "config.yaml")
    for name in MAPPINGS:
        if not isinstance(config.get(name, {}), Mapping | None):
            raise NotPlainError(f"config.yaml: {name} is no mapping of keys to values")
    if not isinstance(config.get("run_dir"), str | None):
        raise NotPlainError("config.yaml: run_dir is no text")
    return config


def _hydra(folder: Path) -> tuple[dict[str, str], frozenset[str]]:
    """Return the choices of the config groups and the typed keys; empty without a record."""
    path = folder / ".hydra" / "hydra.yaml"
    if not os.path.lexists(path):
        return {}, frozenset()
    try:
        content = read_yaml(inside(folder, ".hydra", "hydra.yaml"))
        refuse_bulk(content, "it")
        hydra = _part(content, "hydra")
        choices = _part(_part(hydra, "runtime"), "choices")
        typed = _part(hydra, "overrides").get("task") or []
    except NotPlainError as error:
        raise NotPlainError(f".hydra/hydra.yaml: {error}") from error
    if not isinstance(typed, list) or not all(isinstance(word, str) for word in typed):
        raise NotPlainError(".hydra/hydra.yaml: overrides.task is no list of words")
    return (
        {
            printable(k): printable(text(v))
            for k, v in choices.items()
            if not str(k).startswith("hydra/")
        },
        frozenset(printable(word.partition("=")[0].lstrip("+~")) for word in typed),
    )


def _part(content: Any, name: str) -> Mapping[Any, Any]:
    """Return a mapping inside a mapping; {} if there is none."""
    part = (content or {}).get(name) if isinstance(content, Mapping | None) else content
    if not isinstance(part, Mapping | None):
        raise NotPlainError(f"{name} is no mapping of keys to values")
    return part or {}


def _chosen(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the main choices of a folder without Hydra's records."""
    target = printable((config.get("model") or {}).get("_target_", ""))
    name = (config.get("data") or {}).get("name")
    model = {"model": target.rpartition(".")[2].lower()} if target else {}
    return model | ({"data": printable(text(name))} if name else {})


def _unfinished(folder: Path, config: Mapping[str, str], scores: Mapping[str, Any]) -> str | None:
    """Return why there are no final scores, or None."""
    if os.path.lexists(folder / "final.png"):
        return None if scores else "no scores.json: it was not scored"
    draws = any(value.endswith(".Pictures") for value in config.values())
    kind = config.get("metrics._target_", ".PairScores")
    if not scores or (draws and not kind.endswith(".PairScores")):  # scored during training
        return "unfinished: in training, stopped, or not scored"
    return None
