r"""What Hydra wrote into a run folder, read as if a stranger had written it.

A run is resumed from the config as it was composed, in which `${...}` reads other values, and from
the overrides that composed it. Both are plain text to this module: `${a.b}` may read another key
and `${limner.times:3,${a.b}}` may compute, but whatever else `${...}` can do (read the environment
or Hydra's own config) is not for a folder to ask. Nothing is resolved before it has been judged.
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
"""Once the references in its arguments are replaced."""
OPTION = re.compile(r"\w[\w.+-]*(/\w[\w.+-]*)*", re.ASCII)
ROOTS = ("data.root", "data.source.root")
"""Keys whose value is this machine's: what a foreign one would read is not looked at."""
MAX_EXPANDED = 1_000_000
"""Characters and values that a config may come to once its references are replaced."""


class NotWhole(UserError):
    """A config that is missing or damaged, rather than one that asks for too much."""


class Overrides(NamedTuple):
    """The words that composed a run: those that are kept, and those that are not."""

    kept: list[str]
    dropped: list[str]

    @property
    def note(self) -> str | None:
        """What to say about those that are not kept."""
        if not self.dropped:
            return None
        return (
            "Left out, since no run folder decides it: "
            + ", ".join(printable(word[:80]) for word in self.dropped[:5])
            + (f" and {len(self.dropped) - 5} more" if len(self.dropped) > 5 else "")
        )


def read_overrides(folder: Path) -> Overrides:
    """The overrides that a run was composed of.

    Left out are those that concern Hydra itself, flags, and what reads anything but other keys.

    Raises:
        UserError: If they cannot be read.
    """
    path = folder / ".hydra" / "overrides.yaml"
    try:
        words = read_yaml(path)
    except NotPlainError as error:
        raise UserError(
            f"{path} {error}; a run is composed again by it. To go on from the saved weights "
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
    """Of a run's overrides, those that choose an option of a group."""
    return [word for word in words if "." not in key_of(word).partition("@")[0]]


def read_config(folder: Path, present: DictConfig) -> DictConfig:
    """The config that a run was composed as.

    Args:
        folder: The run folder.
        present: The config of this command. What it has itself, at the same key, is no stranger's;
            and the place of the data is its.

    Raises:
        NotWhole: If it cannot be read.
        UserError: If it asks for what a folder may not.
    """
    path = folder / ".hydra" / "config.yaml"
    try:
        read_yaml(path)  # no tags, no aliases
        config = OmegaConf.create(read_text(path))
    except NotPlainError as error:
        raise NotWhole(f"{path} {error}.") from error
    except Exception as error:  # OmegaConf's reader takes other numbers, and fails in other ways
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
    return config


def _may_be_replayed(word: Any) -> bool:
    """Whether an override sets a value or chooses an option of limner's, and does no more."""
    try:
        override = OverridesParser.create().parse_override(word)
        names = re.split(r"[./@:]", f"{override.key_or_group}@{override.package or ''}")
        value = override.value()
        texts = list(_texts(value))
    except Exception:  # no override at all
        return False
    if "hydra" in names or names[0] == "trust" or override.is_sweep_override():
        return False
    if not all(map(_is_plain, texts)):
        return False
    return "." in override.key_or_group or _chooses(override, value)


def _chooses(override: Override, value: Any) -> bool:
    """Whether a word without dots names options, and no path that leads elsewhere."""
    if override.is_delete() or not isinstance(value, str | list):
        return not isinstance(value, Mapping)
    names = value if isinstance(value, list) else [value]
    return all(isinstance(name, str) and OPTION.fullmatch(name) for name in names)


def _is_plain(text: str) -> bool:
    """Whether a text holds no `${...}` but references to keys, and limner's own functions."""
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
    """How large a config is with its references replaced: ten lines could stand for gigabytes."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self._known: dict[str, int | None] = {}  # None: being looked at

    def check(self, path: Path) -> None:
        """Raises `UserError` if it is too large, or a value reads itself."""
        if self._of(self._config, path) > MAX_EXPANDED:
            raise UserError(f"{path}: its references come to too much.")

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
        """What lies at a key, also behind references on the way."""
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
