"""Checks for code and paths in the config of a run folder that the user did not choose."""

__all__ = ["composed_by_user", "refuse_strangers", "tell_places"]

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from limner.errors import UserError
from limner.files.printable import printable

log = logging.getLogger(__name__)

PLACES = {
    "data.source.path": "data.path",
    "data.source.root": "data.root",
    "data.source.digits.root": "data.root",
    "data.source.test_file": "data.test_file",
}
"""Keys of the places where images are read, and the key that chooses another place."""


def composed_by_user(words: Sequence[str]) -> dict[str, Any]:
    """Return plain data that the user's overrides compose; it is empty if they need the run's."""
    try:
        return _resolved(compose("train", overrides=list(words)))
    except (HydraException, OmegaConfBaseException):
        return {}


def refuse_strangers(config: DictConfig, folder: Path, asked: str, own: dict[str, Any]) -> None:
    """Raise UserError if a config names classes or paths that are neither limner's nor the user's.

    Args:
        config: Config with which a run is to continue; `limner.resume.saved_config` has checked
            its text.
        folder: The run folder. Paths in the config must lie inside it, or name data.
        asked: First words of the message, such as the override that was given.
        own: Result of `composed_by_user`. Classes and paths in it count as the user's.
    """
    from limner.pretrained.refusals import refuse_foreign, targets  # imports torch

    values = _resolved(config)
    for key, text in _texts(values):
        if "${" in text:  # assembled from parts; Hydra would resolve it again
            raise UserError(
                f"{asked}: {key}={text} is refused: a run folder may not read this value."
            )
    named = {(key, str(node["_target_"])) for key, node in targets(own)}
    refuse_foreign(values, asked, trust=list(config.trust), own=named)
    mine = set(_texts(own))
    for key, text in _texts(values):
        is_output = key.startswith("logger.") and key.endswith(".folder")
        if is_output and not _lies_in(text, folder) and (key, text) not in mine:
            raise UserError(f"{asked}: {key}={text} is refused: it is not the run's folder.")
    first = OmegaConf.select(config, "model.first_stage", throw_on_missing=False)
    if isinstance(first, str) and not (folder / "config.yaml").is_file():
        raise UserError(f"{asked}: config.yaml with the first stage is missing in the run folder.")


def tell_places(config: DictConfig, own: dict[str, Any]) -> None:
    """Log the place where images will be read, if the run folder chooses it and not the user.

    Args:
        config: Config with which a run is to continue.
        own: Result of `composed_by_user`.
    """
    mine = set(_texts(own))
    for key, text in _texts(_resolved(config)):
        if key in PLACES and (key, text) not in mine:
            log.info(
                "Images are read from %s, as set in the run folder. To read others: %s=...",
                printable(text), PLACES[key],
            )  # fmt: skip


def _lies_in(name: str, folder: Path) -> bool:
    try:
        return Path(name).resolve().is_relative_to(folder.resolve())
    except (ValueError, OSError, RuntimeError):  # the path has a NUL, or links form a circle
        return False


def _resolved(config: DictConfig) -> dict[str, Any]:
    """Return plain data with every `${...}` replaced; leave out top-level keys that fail."""
    found = {}
    for key in config:
        try:
            value = config[key]
            if OmegaConf.is_config(value):
                value = OmegaConf.to_container(value, resolve=True)
            found[key] = value
        except (OmegaConfBaseException, UserError):
            continue
    return found


def _texts(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, text) for every text in plain data."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _texts(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from _texts(value, f"{key}[{i}]")
    elif isinstance(node, str):
        yield key, node
