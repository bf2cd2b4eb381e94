"""Going on with a run: its own saved config, and on top of it what is newly asked for."""

__all__ = ["merged", "refuse_used_folder", "resume_folder", "with_saved_overrides"]

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import DictConfig, ListConfig, OmegaConf

from limner.checkpoint_files import numbered
from limner.config import check
from limner.console import is_first_process
from limner.errors import UserError

VALUED = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p")
"""Hydra's flags that take a value."""


def resume_folder(arguments: Sequence[str]) -> Path | None:
    """The folder that `resume=` names, if it does. Raises `UserError` if that is no run."""
    given = [
        argument.partition("=")[2] for argument in arguments if argument.startswith("resume=")
    ]
    if not given or given[-1] in ("", "null"):
        return None
    folder = Path(given[-1].strip("'\"")).expanduser().resolve()
    if not (folder / ".hydra" / "config.yaml").is_file():
        raise UserError(
            f"resume={given[-1]}: there is no run in this folder (no .hydra/config.yaml)."
        )
    if not numbered(folder):
        raise UserError(f"resume={given[-1]}: the run has no checkpoint to go on from yet.")
    return folder


def refuse_used_folder(arguments: Sequence[str]) -> None:
    """Raises `UserError` if `hydra.run.dir=` names a folder with something in it."""
    given = [a.partition("=")[2] for a in arguments if a.startswith("hydra.run.dir=")]
    folder = Path(given[-1].strip("'\"")).expanduser() if given else None
    if folder is not None and folder.is_dir() and any(folder.iterdir()):
        raise UserError(
            f"hydra.run.dir={given[-1]} is not empty. To go on with the run in it: "
            f"resume={given[-1]}"
        )


def with_saved_overrides(arguments: Sequence[str], folder: Path) -> list[str]:
    """The arguments that compose the run of `folder` again, changed by the new ones."""
    flags, overrides = _flags(arguments)
    saved = OmegaConf.load(folder / ".hydra" / "hydra.yaml").hydra.runtime.config_sources
    own = [source.path for source in saved if source.provider == "command-line"]
    if own and not any(flag in ("--config-dir", "-cd") for flag in flags):
        flags += ["--config-dir", own[0]]
    return flags + _last_of_each([
        *_saved_overrides(folder),
        *overrides,
        f"resume='{folder}'",
        f"hydra.run.dir='{folder}'",
        "hydra.output_subdir=null",
    ])  # fmt: skip


def merged(config: DictConfig, folder: Path, overrides: Sequence[str]) -> DictConfig:
    """The config saved in `folder`, with what the new overrides change; saved in its place.

    The config files may have changed since the run began, so `config`, which was composed from
    them by `overrides`, is trusted only for the difference that the new overrides make to it.
    """
    path = folder / ".hydra" / "config.yaml"
    saved = OmegaConf.load(path)
    before = _leaves(compose("train", overrides=_saved_overrides(folder)))
    after = _leaves(config)
    for key in before.keys() - after.keys():
        _delete(saved, key)
    for key, value in after.items():
        if key not in before or before[key] != value:
            OmegaConf.update(saved, key, value, force_add=True)
    if is_first_process():
        check(OmegaConf.merge(saved, {"run_dir": str(folder)}))
        kept = [word for word in overrides if not word.startswith("resume=")]
        _write(path, OmegaConf.merge(saved, {"resume": None}))
        _write(folder / ".hydra" / "overrides.yaml", OmegaConf.create(kept))
    return saved


def _flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words that begin with a dash, with their values, and the overrides."""
    flags: list[str] = []
    overrides: list[str] = []
    for word in arguments:
        takes_value = flags and flags[-1].startswith("-") and flags[-1] in VALUED
        (flags if word.startswith("-") or takes_value else overrides).append(word)
    return flags, overrides


def _delete(config: DictConfig, key: str) -> None:
    """Removes a key, and the mappings that this leaves empty."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if node is not None:
        node.pop(name, None)
        if parent and not node:
            _delete(config, parent)


def _write(path: Path, config: DictConfig | ListConfig) -> None:
    partial = path.with_suffix(".partial")
    OmegaConf.save(config, partial)
    os.replace(partial, path)


def _saved_overrides(folder: Path) -> list[str]:
    return list(OmegaConf.load(folder / ".hydra" / "overrides.yaml"))


def _last_of_each(arguments: Sequence[str]) -> list[str]:
    """Without overrides of a key that is overridden again later: Hydra refuses two of a group."""
    last = {argument.partition("=")[0].lstrip("+~"): argument for argument in arguments}
    return list(last.values())


def _leaves(config: DictConfig) -> dict[str, Any]:
    """Dotted key -> value as written, for every value that is no mapping."""
    found: dict[str, Any] = {}

    def visit(node: Any, path: str) -> None:
        for key, value in node.items():
            here = f"{path}.{key}" if path else str(key)
            if isinstance(value, dict) and value:
                visit(value, here)
            else:
                found[here] = value

    visit(OmegaConf.to_container(config), "")
    return found
