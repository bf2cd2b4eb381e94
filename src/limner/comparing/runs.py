"""Runs as their folders tell of them: config.yaml, scores.json and what was typed."""

__all__ = ["Run", "find", "leaves", "text"]

import glob
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from limner.errors import UserError


@dataclass(frozen=True, eq=False)
class Run:
    """What one run's folder says.

    Args:
        folder: As it was named or found.
        config: The leaves of config.yaml: dotted key to text, as one would type it.
        choices: Options of the config groups, such as {"model": "gan", "model/loss": "hinge"}.
        typed: The keys that the run's command line set.
        scores: scores.json: name to {value, protocol, ...}; empty if there is none to read.
        problem: Why the run's scores are not to be compared, or None.
    """

    folder: Path
    config: Mapping[str, str]
    choices: Mapping[str, str]
    typed: frozenset[str]
    scores: Mapping[str, Mapping[str, Any]]
    problem: str | None

    @property
    def seed(self) -> str:
        return self.config.get("seed", "null")


def find(words: Sequence[str]) -> list[Run]:
    """The runs in the folders that words name: run folders, folders of runs, and patterns.

    Raises:
        UserError: If a word names no folder, or one without a run.
    """
    if not words:
        raise UserError("No run is named: limner compare outputs/RUN outputs/RUN ...")
    found: dict[Path, Path] = {}
    for word in words:
        for start in _expanded(word):
            folders = list(_run_folders(start))
            if not folders:
                raise UserError(f"{word}: there is no run in this folder (no config.yaml).")
            for folder in folders:
                found.setdefault(folder.resolve(), folder)
    return [_read(folder) for folder in found.values()]


def leaves(value: Any, prefix: str = "") -> dict[str, str]:
    """Dotted keys to texts; a list of plain values is one leaf."""
    if isinstance(value, Mapping) and value:
        items: list[tuple[Any, Any]] = list(value.items())
    elif isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        items = list(enumerate(value))
    else:
        return {prefix: text(value)}
    found: dict[str, str] = {}
    for key, part in items:
        found |= leaves(part, f"{prefix}.{key}" if prefix else str(key))
    return found


def text(value: Any) -> str:
    """A value as it is written on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(text(part) for part in value)}]"
    return str(value)


def _expanded(word: str) -> list[Path]:
    path = Path(word).expanduser()
    if path.is_dir():
        return [path]
    if path.exists():
        raise UserError(f"{word}: is a file; name the folder of a run.")
    folders = [found for found in map(Path, sorted(glob.glob(str(path)))) if found.is_dir()]
    if not folders:
        raise UserError(f"{word}: there is no such folder.")
    return folders


def _run_folders(start: Path) -> Iterator[Path]:
    """`start` itself if it is a run, else the runs anywhere below, in the order of their names."""
    for parent, folders, files in os.walk(start):
        if "config.yaml" in files or ".hydra" in folders:
            folders.clear()
            yield Path(parent)
        folders[:] = sorted((name for name in folders if name[0] != "."), key=_natural)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts 2_... before 10_..."""
    return [(int(part or 0), "") if part.isdigit() else (-1, part)
            for part in re.split(r"(\d+)", name)]  # fmt: skip


def _read(folder: Path) -> Run:
    config, scores = _yaml(folder / "config.yaml"), _scores(folder / "scores.json")
    hydra = (_yaml(folder / ".hydra" / "hydra.yaml") or {}).get("hydra", {})
    choices = hydra.get("runtime", {}).get("choices") or _chosen(config or {})
    typed = hydra.get("overrides", {}).get("task") or []
    values = leaves(config) if config else {}
    if config and config.get("run_dir"):
        values = {key: value.replace(config["run_dir"], ".") for key, value in values.items()}
    return Run(
        folder,
        values,
        {key: text(value) for key, value in choices.items() if not key.startswith("hydra/")},
        frozenset(word.partition("=")[0].lstrip("+~") for word in typed),
        scores or {},
        _problem(folder, values, scores),
    )


def _yaml(path: Path) -> dict[str, Any] | None:
    """What a file says, or None for one that is not there or not whole."""
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return None
    return content if isinstance(content, dict) else None


def _chosen(config: Mapping[str, Any]) -> dict[str, str]:
    """The main choices, for a folder that came without Hydra's records."""
    target = str((config.get("model") or {}).get("_target_", ""))
    name = (config.get("data") or {}).get("name")
    model = {"model": target.rpartition(".")[2].lower()} if target else {}
    return model | ({"data": name} if name else {})


def _scores(path: Path) -> dict[str, dict[str, Any]] | None:
    """The entries of a scores.json, {} if there is none, None if it is not whole."""
    if not path.is_file():
        return {}
    try:
        scores = json.loads(path.read_text())
        for entry in scores.values():
            float(entry["value"]), entry["protocol"].items()
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return scores


def _problem(
    folder: Path, config: Mapping[str, str], scores: Mapping[str, Any] | None
) -> str | None:
    if not config:
        return "never began to train (no whole config.yaml)"
    if scores is None:
        return "scores.json is not whole"
    if (folder / "final.png").exists():
        return None if scores else "no scores.json: it was not scored"
    draws = any(value.endswith(".Pictures") for value in config.values())
    if not scores or (draws and "metrics._target_" in config):  # scored while training
        return "unfinished: in training, stopped, or not scored"
    return None
