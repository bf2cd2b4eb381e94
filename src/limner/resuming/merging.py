"""The config that a run goes on with, and the records of it in the run's folder."""

__all__ = ["merged", "save", "with_saved_overrides"]

import contextlib
import copy
import os
from collections.abc import Sequence
from pathlib import Path

from hydra import compose
from omegaconf import DictConfig, ListConfig, OmegaConf

from limner.config import check
from limner.errors import UserError
from limner.older import without_gone
from limner.resuming.changes import leaves, refuse_changes
from limner.resuming.words import CONFIG_DIRS, key_of, last_of_each, parted, without
from limner.status import read_status
from limner.version import __version__


def with_saved_overrides(words: Sequence[str], folder: Path) -> list[str]:
    """The arguments that compose the run of `folder` again, changed by the new ones."""
    flags, overrides = parted(words)
    known = OmegaConf.load(folder / ".hydra" / "hydra.yaml").hydra.runtime.config_sources
    own = [source.path for source in known if source.provider == "command-line"]
    if own and not any(flag in CONFIG_DIRS for flag in flags):
        flags += ["--config-dir", own[0]]
    kept = _saved_overrides(folder)
    for group in map(key_of, overrides):
        # the settings of what was chosen before mean nothing for what is chosen instead
        kept = [word for word in kept if not key_of(word).startswith((f"{group}.", f"{group}/"))]
    return flags + last_of_each([*kept, *overrides])


def merged(config: DictConfig, folder: Path) -> DictConfig:
    """The config saved in `folder`, with what a command changes about it. Writes nothing.

    The config files may have changed since the run began, so `config`, which was composed from
    them by `with_saved_overrides`, is trusted only for the difference that the new ones make.

    Raises:
        UserError: If it would be another run, or one that this version cannot train.
    """
    saved = OmegaConf.load(folder / ".hydra" / "config.yaml")
    saved = OmegaConf.create(without_gone(OmegaConf.to_container(saved)))
    wanted = copy.deepcopy(saved)
    before, after = leaves(compose("train", overrides=_saved_overrides(folder))), leaves(config)
    for key in before.keys() - after.keys():
        _delete(wanted, key)
    for key, value in after.items():
        if key not in before or before[key] != value:
            OmegaConf.update(wanted, key, value, force_add=True)
    asked, advice = f"resume={os.path.relpath(folder)}", "For a new run, leave out resume=."
    refuse_changes(saved, wanted, subject=asked, advice=advice)
    for key in config.keys() - wanted.keys():
        wanted[key] = config[key]  # which limner did not have when the run began
    _check(wanted, folder)
    return wanted


def save(config: DictConfig, folder: Path, hydra: DictConfig) -> None:
    """Brings Hydra's records in the folder up to date with what the run goes on as.

    Args:
        config: The run's config.
        folder: The run folder.
        hydra: Hydra's own config of this start.
    """
    records = folder / ".hydra"
    overrides = without(hydra.overrides.task, "resume")
    known = OmegaConf.load(records / "hydra.yaml")
    known.hydra.overrides.task = overrides
    known.hydra.runtime.choices = hydra.runtime.choices
    _write(records / "config.yaml", OmegaConf.merge(config, {"resume": None, "run_dir": None}))
    _write(records / "overrides.yaml", OmegaConf.create(overrides))
    _write(records / "hydra.yaml", known)


def _saved_overrides(folder: Path) -> list[str]:
    return list(OmegaConf.load(folder / ".hydra" / "overrides.yaml"))


def _check(config: DictConfig, folder: Path) -> None:
    """Raises `UserError` if this version lacks, or newly needs, what the saved config says."""
    from limner.first_stages import adopt  # with torch: looking for a run need not wait

    checked = OmegaConf.merge(config, {"run_dir": str(folder)})
    try:
        adopt(checked, folder)
        check(checked)
    except UserError as error:
        status = read_status(folder)
        if status is None or status.version in ("", __version__):
            raise
        raise UserError(
            f"{error}\nThe run was made by limner {status.version}; this is {__version__}."
        ) from error


def _delete(config: DictConfig, key: str) -> None:
    """Removes a key, and the mappings that this leaves empty."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if node is not None:
        with contextlib.suppress(KeyError):
            del node[name]  # `pop` would look up what it reads by ${...}, which may be gone
        if parent and not node:
            _delete(config, parent)


def _write(path: Path, config: DictConfig | ListConfig) -> None:
    partial = path.with_suffix(".partial")
    OmegaConf.save(config, partial)
    os.replace(partial, path)
