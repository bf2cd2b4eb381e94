r"""The config and overrides that Hydra saved in a run folder, read as untrusted input.

A run is resumed from its composed config, in which `${...}` reads other values, and from the
overrides that composed it. This module treats both as plain text. `${a.b}` may read another key
and `${limner.times:3,${a.b}}` may compute. Everything else that `${...}` can do, such as reading
the environment or Hydra's own config, is refused. Nothing is resolved before it is checked.
"""

__all__ = ["NotWhole", "Overrides", "choices", "read_config", "read_overrides"]

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from limner.errors import UserError
from limner.files.plain import NotPlainError, read_text, read_yaml
from limner.files.printable import printable
from limner.resume.allowed_changes import leaves
from limner.resume.overrides import key_of

REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*(?:\.\w+)*)\}", re.ASCII)
RESOLVER = re.compile(r"\$\{limner\.\w+:[\w.,+\- ]*\}", re.ASCII)
"""Pattern of a resolver call, after the references in its arguments are replaced."""
OPTION = re.compile(r"\w[\w.+-]*(/\w[\w.+-]*)*", re.ASCII)
ROOTS = ("data.root", "data.source.root")
"""Keys whose value belongs to this machine; a saved value of another machine is ignored."""
MAX_EXPANDED = 1_000_000
"""Limit on characters and values of a config once its references are replaced."""


class NotWhole(UserError):
    """Error for a config that is missing or damaged."""


class Overrides(NamedTuple):
    """The overrides from which a run was composed, as kept and dropped overrides."""

    kept: list[str]
    dropped: list[str]

    @property
    def note(self) -> str | None:
        """Message about the dropped overrides; None if there are none."""
        if not self.dropped:
            return None
        return (
            "Left out, because a run folder may not set it: "
            + ", ".join(printable(word[:80]) for word in self.dropped[:5])
            + (f" and {len(self.dropped) - 5} more" if len(self.dropped) > 5 else "")
        )


def read_overrides(folder: Path) -> Overrides:
    """Return the overrides from which a run was composed.

    Overrides of Hydra itself, flags, and values that read anything but other keys are dropped.

    Raises:
        UserError: If the saved overrides cannot be read.
    """
    path = folder / ".hydra" / "overrides.yaml"
    try:
        words = read_yaml(path)
    except NotPlainError as error:
        raise UserError(
            f"{path} {error}; the run is composed from it again. To resume from the saved weights "
            "without it, type the whole command again with resume=auto."
        ) from error
    if words is None:
        words = []
    if not isinstance(words, list):
        raise UserError(f"{path} is no list of overrides.")
    found = Overrides([], [])
    for word in words:
        (found.kept if _may_be_replayed(word) else found.dropped).append(str(word))
    return found


def choices(words: Sequence[str]) -> list[str]:
    """Return the overrides that choose an option of a group."""
    return [word for word in words if "." not in key_of(word).partition("@")[0]]


def read_config(folder: Path, present: DictConfig) -> DictConfig:
    """Return the saved config of a run, unresolved.

    Args:
        folder: The run folder.
        present: Config of this command. A saved value is accepted if `present` has an equal value
            at the same key. `present` decides where the data are.

    Raises:
        NotWhole: If the config cannot be read.
        UserError: If a value reads anything but other keys, or the config is too large or nested
            too deeply.
    """
    path = folder / ".hydra" / "config.yaml"
    try:
        read_yaml(path)  # no tags, no aliases
        config = OmegaConf.create(read_text(path))
    except NotPlainError as error:
        raise NotWhole(f"{path} {error}.") from error
    except Exception as error:  # OmegaConf's reader may fail in other ways than ours
        raise NotWhole(f"{path} is no config ({type(error).__name__}).") from error
    if not isinstance(config, DictConfig) or not config:
        raise NotWhole(f"{path}: a config is a mapping of keys to values.")
    try:
        written, here = leaves(config), leaves(present)
        for key, value in written.items():
            if all(map(_is_plain, _texts(value))) and _is_plain(key):
                continue
            if key in here and key in ROOTS:
                OmegaConf.update(config, key, here[key])
            elif key not in here or here[key] != value:
                raise UserError(
                    f"{path}: {key}={value} is refused: a run folder may read other keys by "
                    "${a.b}, and nothing else (such as the environment)."
                )
        _Sizes(OmegaConf.to_container(config)).check(path)
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply.") from error
    if "num_updates" in config:
        config.num_updates = _recorded_length(folder)
    return config


def _recorded_length(folder: Path) -> int | None:
    """Return the length of training that a run wrote into its config.yaml; None if unknown."""
    try:
        number = read_yaml(folder / "config.yaml")["num_updates"]
    except (NotPlainError, KeyError, TypeError):
        return None
    return number if type(number) is int and number > 0 else None


def _may_be_replayed(word: Any) -> bool:
    """Return whether an override only sets a value or chooses an option of limner."""
    try:
        override = OverridesParser.create().parse_override(word)
        names = re.split(r"[./@:]", f"{override.key_or_group}@{override.package or ''}")
        value = override.value()
        texts = list(_texts(value))
    except Exception:  # not an override
        return False
    if "hydra" in names or names[0] == "trust" or override.is_sweep_override():
        return False
    if not all(map(_is_plain, texts)):
        return False
    return "." in override.key_or_group or _chooses(override, value)


def _chooses(override: Override, value: Any) -> bool:
    """Return whether a word without dots names options, and not a path outside of conf/."""
    if override.is_delete() or not isinstance(value, str | list):
        return not isinstance(value, Mapping)
    names = value if isinstance(value, list) else [value]
    return all(isinstance(name, str) and OPTION.fullmatch(name) for name in names)


def _is_plain(text: str) -> bool:
    """Return whether every `${...}` of a text refers to a key or a function of limner."""
    return "${" not in RESOLVER.sub("_", REFERENCE.sub("_", text))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


class _Sizes:
    """Sizes of a config with its references replaced; ten lines can expand to gigabytes."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self._known: dict[str, int | None] = {}  # None while the size is being measured

    def check(self, path: Path) -> None:
        """Raise UserError if the config is too large, or a value reads itself."""
        if self._of(self._config, path) > MAX_EXPANDED:
            raise UserError(f"{path}: its references expand to too many values.")

    def _of(self, node: Any, path: Path) -> int:
        if isinstance(node, Mapping):
            return 1 + sum(self._of(value, path) for value in node.values())
        if isinstance(node, list):
            return 1 + sum(self._of(value, path) for value in node)
        if not isinstance(node, str):
            return 1
        return len(node) + sum(self._at(key, path) for key in REFERENCE.findall(node))

    def _at(self, key: str, path: Path) -> int:
        if key not in self._known:
            self._known[key] = None
            self._known[key] = self._of(self._found(key), path)
        size = self._known[key]
        if size is None:
            raise UserError(f"{path}: {key} reads itself.")
        return size

    def _found(self, key: str) -> Any:
        """Return the value at a key, following references on the way."""
        node, rest = self._config, key.split(".")
        for _ in range(1000):
            if isinstance(node, str) and (link := REFERENCE.fullmatch(node)) and rest:
                node, rest = self._config, [*link[1].split("."), *rest]
            elif not rest:
                return node
            elif isinstance(node, Mapping):
                node, rest = node.get(rest[0]), rest[1:]
            elif isinstance(node, list) and rest[0].isdigit() and int(rest[0]) < len(node):
                node, rest = node[int(rest[0])], rest[1:]
            else:
                return None
        return None
