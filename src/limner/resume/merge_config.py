"""Merge the saved config of a run with the changes of a command, and save the result."""

__all__ = ["merged", "save", "with_saved_overrides"]

import contextlib
import copy
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import DictConfig, ListConfig, OmegaConf

from limner.config.build import check
from limner.errors import UserError
from limner.files.atomic import write_atomically
from limner.files.plain import NotPlainError, read_yaml
from limner.resume.allowed_changes import leaves, refuse_changes
from limner.resume.foreign_classes import composed_by_user, refuse_strangers, tell_places
from limner.resume.overrides import key_of, last_per_key, split_flags, without_key
from limner.resume.own_paths import absolute_words
from limner.resume.saved_config import choices, read_config, read_overrides
from limner.runs.status import read_status
from limner.version import __version__

log = logging.getLogger(__name__)


def with_saved_overrides(words: Sequence[str], saved: Sequence[str]) -> list[str]:
    """Return the saved overrides of a run, changed by the words of a command.

    Args:
        words: Words of the command, including flags that add the user's config folders.
        saved: Overrides from which the run was composed.
    """
    flags, overrides = split_flags(words)
    kept = list(saved)
    for group in map(key_of, overrides):
        # settings of the replaced option do not apply to the new option
        kept = [word for word in kept if not key_of(word).startswith((f"{group}.", f"{group}/"))]
    return flags + last_per_key([*kept, *overrides])


def merged(config: DictConfig, folder: Path, words: Sequence[str]) -> DictConfig:
    """Return the config saved in `folder` with the changes of a command. Write nothing.

    The files in conf/ may have changed since the run started. So this function does not use all
    of `config`, which is composed from the present files with `with_saved_overrides`. It takes
    only the values that the new words change.

    Args:
        config: Config composed from the command.
        folder: The run folder, which is untrusted.
        words: Words of the command. Classes that they name are allowed.

    Raises:
        UserError: If the result is another run, cannot be trained by this version, or names
            classes that are neither limner's nor in `words`.
    """
    asked, advice = f"resume={os.path.relpath(folder)}", "For a new run, leave out resume=."
    saved = read_config(folder, config)
    wanted = copy.deepcopy(saved)
    overrides = read_overrides(folder).kept
    before, after = leaves(compose("train", overrides=overrides)), leaves(config)
    for key in before.keys() - after.keys():
        _delete(wanted, key)
    for key, value in after.items():
        if key not in before or before[key] != value:
            OmegaConf.update(wanted, key, value, force_add=True)
    wanted.trust = config.trust  # only the user decides this, never a folder
    if "num_updates" in wanted:
        wanted.num_updates = None  # it is derived again from the data
    refuse_changes(saved, wanted, subject=asked, advice=advice)
    data = OmegaConf.select(wanted, "data")
    if isinstance(data, DictConfig) and "on_corrupt" in data and "background" not in data:
        data.background = config.data.background  # added to limner after the start
    metrics = OmegaConf.select(wanted, "metrics")
    if isinstance(metrics, DictConfig) and "num_neighbours" in metrics and "floor" not in metrics:
        metrics.floor = False  # added to limner after the start
    if isinstance(metrics, DictConfig) and "slow_megapixels" in metrics:
        metrics.distances = metrics.get("distances")  # likewise
    for key in config.keys() - wanted.keys():
        wanted[key] = config[key]  # added to limner after the run started
    own = composed_by_user(split_flags(with_saved_overrides(words, choices(overrides)))[1])
    _check(wanted, folder, asked, own)
    tell_places(wanted, own)
    return wanted


def save(config: DictConfig, folder: Path, hydra: DictConfig) -> None:
    """Update Hydra's records in a run folder to the config with which the run continues.

    Args:
        config: Config of the run.
        folder: The run folder.
        hydra: Hydra's part of the config of this command.
    """
    records = folder / ".hydra"
    overrides = without_key(without_key(hydra.overrides.task, "resume"), "trust")
    overrides = absolute_words(overrides, config)
    now = OmegaConf.to_container(OmegaConf.masked_copy(hydra, ["overrides", "runtime", "job"]))
    try:
        known = read_yaml(records / "hydra.yaml")
        known["hydra"]["overrides"]["task"] = overrides
        known["hydra"]["runtime"]["choices"] = now["runtime"]["choices"]
    except (NotPlainError, KeyError, TypeError):  # the old record is unreadable
        now["overrides"]["task"] = overrides
        known = {"hydra": now}
        log.warning("%s was no record of Hydra's, and is written again.", records / "hydra.yaml")
    _write(records / "config.yaml", OmegaConf.merge(config, {"resume": None, "run_dir": None}))
    _write(records / "overrides.yaml", OmegaConf.create(overrides))
    _write(records / "hydra.yaml", OmegaConf.create(known))


def _check(config: DictConfig, folder: Path, asked: str, own: dict[str, Any]) -> None:
    """Raise UserError if this version cannot train the config, or if it names foreign code."""
    from limner.pretrained.first_stage import adopt  # imports torch, so not at the top

    checked = OmegaConf.merge(config, {"run_dir": str(folder)})
    refuse_strangers(checked, folder, asked, own)
    try:
        adopt(checked, folder)
        if isinstance(OmegaConf.to_container(config.model).get("first_stage"), str):
            refuse_strangers(checked, folder, asked, own)
        check(checked)
    except UserError as error:
        status = read_status(folder)
        if status is None or status.version in ("", __version__):
            raise
        raise UserError(
            f"{error}\nThe run was made by limner {status.version}; this is {__version__}."
        ) from error


def _delete(config: DictConfig, key: str) -> None:
    """Remove a key, and the mappings that this leaves empty."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if node is not None:
        with contextlib.suppress(KeyError):
            del node[name]  # `pop` would resolve ${...}, whose target may be gone
        if parent and not node:
            _delete(config, parent)


def _write(path: Path, config: DictConfig | ListConfig) -> None:
    write_atomically(path, OmegaConf.to_yaml(config))
