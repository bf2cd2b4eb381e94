"""The user's paths, kept absolute, so that a run can be resumed and scored from any folder.

A relative path starts at the working folder of the command that names it. This module does not
change paths inside the run folder: they are relative to it, or filled in when a run starts.
"""

__all__ = ["absolute", "absolute_words", "keep_absolute", "make_absolute"]

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from limner.errors import UserError
from limner.files.atomic import write_atomically
from limner.files.hub import is_repository
from limner.resume.overrides import key_of, last_value, quoted

PATHS = (
    "data.path", "data.path_b", "data.root", "data.source.digits.root", "data.source.path",
    "data.source.path_b", "data.source.root", "data.source.test_file", "data.test_file",
    "model.first_stage", "model.initial_weights", "model.styles",
)  # fmt: skip
"""Keys whose values are the user's paths, or lists of them."""
EXISTING = ("model.first_stage", "model.initial_weights")
"""Keys of `PATHS` whose value may name something else, such as a repository of the hub."""

OF_THE_HUB = ("data.path", "data.source.path")
"""Keys of `PATHS` whose value may be a repository of the hub, for data with a revision."""


def absolute(key: str, value: Any, config: DictConfig | None = None) -> Any:
    """Return the value of a key, as an absolute path if it is a relative path of this command.

    A path that starts with `~` does not change, since it does not depend on the working folder. A
    value with `${` does not change either, since Hydra has yet to resolve it. Of a list, each path
    is made absolute. A repository of the hub, such as owner/name, does not change.

    Args:
        key: Dotted key.
        value: Its value.
        config: Config that has the value; data with a `data.revision` may be a repository.
    """
    if key in PATHS and isinstance(value, list):
        return [absolute(key, each) for each in value]
    if key not in PATHS or not isinstance(value, str) or not value or "\0" in value:
        return value
    if value.startswith("~") or "${" in value or value == "???" or Path(value).is_absolute():
        return value
    if key in EXISTING and not Path(value).exists():
        return value
    if key in OF_THE_HUB and _has_revision(config) and is_repository(value):
        return value
    return os.path.abspath(value)  # noqa: PTH100 - `resolve` would follow links


def make_absolute(config: DictConfig, *, resolve: bool = False) -> None:
    """Make the paths of a config absolute, in place.

    Args:
        config: The config of a run.
        resolve: Whether to replace values that are read by `${...}` too, such as from the
            environment. A config from which a run is resumed keeps these references.
    """
    for key in PATHS:
        try:
            value = OmegaConf.select(config, key)
            if OmegaConf.is_list(value):
                value = OmegaConf.to_container(value, resolve=True)
            written = value if resolve else _written(config, key)
        except OmegaConfBaseException:  # it reads a key that has no value
            continue
        if written == "" and key == "data.path":
            raise UserError("data.path= is empty: name a folder or a .zip file of pictures.")
        if (path := absolute(key, written, config)) != written:
            OmegaConf.update(config, key, path)


def absolute_words(words: Sequence[str], config: DictConfig) -> list[str]:
    """Return the overrides of a run with the absolute paths of its config.

    Args:
        words: The overrides.
        config: The config of the run, after `make_absolute`.
    """
    return [_as_in(config, word) for word in words]


def keep_absolute(config: DictConfig, folder: Path, words: Sequence[str]) -> None:
    """Rewrite Hydra's records of a new run with absolute paths, if they differ.

    Args:
        config: The composed config, after `make_absolute`.
        folder: The run folder.
        words: The overrides that composed it.
    """
    records, kept = folder / ".hydra", absolute_words(words, config)
    if kept != list(words) and (records / "overrides.yaml").is_file():
        write_atomically(records / "config.yaml", OmegaConf.to_yaml(config))
        write_atomically(records / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(kept)))


def _has_revision(config: DictConfig | None) -> bool:
    data = None if config is None else OmegaConf.select(config, "data")
    return isinstance(data, DictConfig) and "revision" in data


def _written(config: DictConfig, key: str) -> Any:
    """Return a value as written, with `${...}` unresolved; None if there is none."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent)
    if not isinstance(node, DictConfig) or name not in node:
        return None
    value = node._get_node(name)
    return OmegaConf.to_container(value) if OmegaConf.is_list(value) else value._value()


def _as_in(config: DictConfig, word: str) -> str:
    key = key_of(word)
    path = _written(config, key) if key in PATHS and "=" in word else None
    if isinstance(path, list):
        return f"{word.partition('=')[0]}=[{','.join(map(quoted, path))}]"
    if not isinstance(path, str) or "${" in path or path == last_value([word], key):
        return word
    return f"{word.partition('=')[0]}={quoted(path)}"
