"""Quote values that Hydra would refuse or read as something else, for keys that take text.

Hydra's grammar refuses `photos (2024)`, `it's` and `~/photos`, and reads `2024` as a number and
`a,b` as two values. This module gives a key that takes text, such as a path, the text as typed.
Some values keep the meaning that they have in Hydra: null, `[a]`, `${...}`, `choice(...)`, a value
in quotes and, with -m, `a,b`.
"""

__all__ = ["shown_quoted", "with_quotes"]

import functools
import inspect
import os
import re
import shlex
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf, StringNode
from omegaconf.errors import OmegaConfBaseException

from limner.config.command_options import at_home
from limner.config.schema import CONFIG_DIR, RunConfig
from limner.errors import UsageError, UserError
from limner.files.printable import printable
from limner.resume.overrides import (
    config_dirs,
    is_completion,
    is_sweep,
    key_of,
    last_value,
    quoted,
    split_flags,
    unquoted,
)
from limner.resume.saved_config import read_overrides

ABSENT = object()


def with_quotes(words: Sequence[str], *, may_sweep: bool = True) -> list[str]:
    """Return the words of a command with quotes around the values that need them.

    Args:
        words: Words as typed.
        may_sweep: Whether messages may suggest -m.

    Raises:
        UsageError: If Hydra cannot read a value, or reads several, and the key takes no text.
    """
    if is_completion(words):
        return list(words)
    overrides, sweep = split_flags(words)[1], is_sweep(words)
    odd = [word for word in overrides if _is_odd(word, sweep=sweep)]
    if not odd:
        return list(words)
    try:
        config = composed(words, [word for word in overrides if word not in odd])
    except (HydraException, OmegaConfBaseException):
        if all(map(_parsed, odd)):
            return list(words)  # Hydra will raise the error
        raise
    return [
        _read_as_typed(word, config, sweep=sweep, may_sweep=may_sweep) if word in odd else word
        for word in words
    ]


def composed(words: Sequence[str], overrides: Sequence[str]) -> DictConfig:
    """Compose a config from some overrides of a command, including Hydra's own part.

    An override with several values counts with its first value. The overrides of a resumed run
    come first.
    """
    own, given = config_dirs(words), last_value(words, "resume")
    saved: list[str] = []
    if given not in (None, "", "null", "auto"):
        try:
            saved = read_overrides(Path(at_home(given))).kept
        except UserError:  # opening the run raises the same error later
            saved = []
    path = [f"hydra.searchpath=[{quoted(f'file://{Path(own[-1]).resolve()}')}]"] if own else []
    single = [_first(word) for word in overrides if key_of(word) not in ("resume", "sweep")]
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("train", overrides=[*saved, *single, *path], return_hydra_config=True)


def shown_quoted(key: str, value: str) -> str:
    """Return a word with a quoted value, as it is typed in a shell."""
    if not set("'\"\\") & set(value):
        return f"'{key}=\"{value}\"'"
    return shlex.quote(f"{key}={quoted(value)}")


def _first(word: str) -> str:
    parsed = _parsed(word)
    if parsed is None or not parsed.is_sweep_override():
        return word
    return f"{word.partition('=')[0]}={next(iter(parsed.sweep_string_iterator()))}"


def _parsed(word: str) -> Override | None:
    """Return an override as Hydra parses it; None if it cannot be parsed."""
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        return None


def _is_odd(word: str, *, sweep: bool) -> bool:
    """Return whether Hydra reads a value that differs from the typed text, or cannot read it."""
    key, equals, value = word.partition("=")
    if not equals or _parsed(f"{key}=x") is None or _is_group(key_of(word)):
        return False
    parsed = _parsed(word)
    if parsed is None or _home(value) != value:
        return True
    if sweep or parsed.is_sweep_override():
        return not sweep and parsed.value_type is ValueType.SIMPLE_CHOICE_SWEEP
    read = parsed.value()
    if "${" in value or read is None or value[:1] in ("'", '"', "[", "{"):
        return False
    if isinstance(read, str):
        return read != value and "\\" not in value
    return _may_be_text(key_of(word))


def _may_be_text(key: str) -> bool:
    """Return whether a key may take text, without composing a config.

    Composing takes a good part of a second, so this function only looks at the schema and at the
    files of conf/.
    """
    if key in RunConfig.__dataclass_fields__:
        return "str" in str(RunConfig.__dataclass_fields__[key].type)
    return key.startswith("hydra.") or key.rpartition(".")[2] in _names_of_texts()


@functools.cache
def _names_of_texts() -> frozenset[str]:
    """Return the last parts of the keys whose value in conf/ is text or missing."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in CONFIG_DIR.rglob("*.yaml"))
    number = r"[-+.\d]|null|true|false|\[|\{|\$\{(?!oc)|#|$"
    return frozenset(re.findall(rf"^\s*(\w+): (?!\s*(?:{number}))", text, re.MULTILINE))


def _is_group(key: str) -> bool:
    return "." not in key and (CONFIG_DIR / key.partition("@")[0]).is_dir()


def _home(value: str) -> str:
    """Replace `~` at the start of a value, or of its comma-separated parts, by the home folder."""
    text = unquoted(value)
    if text != value:
        return value if at_home(text) == text else quoted(at_home(text))
    return ",".join(map(at_home, value.split(",")))


def _read_as_typed(word: str, config: DictConfig, *, sweep: bool, may_sweep: bool) -> str:
    key, _, value = word.partition("=")
    present = _present(config, key_of(key))
    if _home(value) != value and (isinstance(present, str | None) or _takes_text(config, key)):
        value = _home(value)
    parsed = _parsed(f"{key}={value}")
    if parsed is None:
        takes = isinstance(present, str | None) or present is ABSENT
        if present is ABSENT and key[:1] == "+":
            takes = _takes_text(config, key_of(key))
        if not takes or (sweep and "," in value):
            raise UsageError(_unreadable(key, value, present, sweep=sweep))
        return f"{key}={quoted(value)}"
    if sweep or value[:1] in ("'", '"'):
        return f"{key}={value}"
    if (value != unquoted(value) or parsed.value_type is not ValueType.ELEMENT
            or parsed.value() != value) and _takes_text(config, key_of(key)):  # fmt: skip
        return f"{key}={quoted(value)}"
    if parsed.is_sweep_override():
        raise UsageError(_several(key, value, present, may_sweep=may_sweep))
    return f"{key}={value}"


def _unreadable(key: str, value: str, present: Any, *, sweep: bool) -> str:
    word = printable(f"{key}={value}")
    if isinstance(present, list) and value[:1] == "(":
        return f"{word}: a list is written in brackets: '{key}=[{value[1:-1]}]'"
    if isinstance(present, bool):
        return f"{word}: must be true or false."
    if isinstance(present, int | float):
        return f"{word}: must be a number."
    if sweep and "," in value:
        parts = ",".join(map(quoted, value.split(",")))
        return f"{word}: put each value in quotes:\n  {shlex.quote(f'{key}={parts}')}"
    return f"{word}: put the value in quotes:\n  {shown_quoted(key, value)}"


def _several(key: str, value: str, present: Any, *, may_sweep: bool) -> str:
    """Return the message about `a,b` where one value is expected."""
    message = f"{printable(f'{key}={value}')}: a single run takes one value."
    sweep = "one run for each: add -m" if may_sweep else None
    as_list, as_text = f"a list: '{key}=[{value}]'", f"a text: {shown_quoted(key, value)}"
    if isinstance(present, list):
        ways = [as_list, sweep]
    elif isinstance(present, bool | int | float):
        ways = [sweep or "give a single value", as_list if "." in key else None]
    else:
        ways = [sweep, as_list, as_text]
    return "\n".join([message, *(f"  {way}" for way in ways if way)])


def _present(config: DictConfig, key: str) -> Any:
    """Return the value at a key as written, or `ABSENT`."""
    parent, name = _parent(config, key)
    if not isinstance(parent, DictConfig):
        return ABSENT
    return OmegaConf.to_container(parent, resolve=False).get(name, ABSENT)


def _parent(config: DictConfig, key: str) -> tuple[Any, str]:
    parent, _, name = key.rpartition(".")
    try:
        node = OmegaConf.select(config, parent) if parent else config
    except OmegaConfBaseException:
        node = None
    return node, name


def _takes_text(config: DictConfig, key: str, depth: int = 0) -> bool:
    """Return whether the type of a key, or of the argument that reads it, is text or a path."""
    parent, name = _parent(config, key)
    if not isinstance(parent, DictConfig) or depth > 5:
        return False
    present = _present(config, key)
    if present is not ABSENT and isinstance(parent._get_node(name), StringNode):
        return True  # limner's or Hydra's schema states the type
    if not isinstance(present, str | None) and present is not ABSENT:
        return False
    if "_target_" in parent and (hint := _hint(parent._target_, name)) is not None:
        return _is_text(hint)
    places = [place for place, text in _texts(config) if text == f"${{{key}}}"]
    return bool(places) and all(_takes_text(config, place, depth + 1) for place in places)


def _texts(config: DictConfig) -> Iterator[tuple[str, str]]:
    """Yield (dotted key, text) for every value that is text."""

    def walk(node: Any, at: str) -> Iterator[tuple[str, str]]:
        if isinstance(node, Mapping):
            for name, value in node.items():
                yield from walk(value, f"{at}.{name}" if at else str(name))
        elif isinstance(node, str):
            yield at, node

    ours = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    yield from walk(OmegaConf.to_container(ours, resolve=False), "")


def _hint(target: str, name: str) -> Any:
    """Return the type of a constructor's parameter; None if there is none."""
    try:
        found = get_object(target)
        function = found.__init__ if inspect.isclass(found) else found
        return typing.get_type_hints(function).get(name)
    except Exception:  # building the object raises the import error later
        return None


def _is_text(hint: Any) -> bool:
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    members = set(typing.get_args(hint) if union else [hint]) - {type(None)}
    paths = {str, Path, os.PathLike}
    return bool(members) and all((typing.get_origin(m) or m) in paths for m in members)
