"""The type and the meaning of a config key, from the constructor that receives its value."""

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.utils import get_object

NAMES = {int: "whole number", float: "number", bool: "true or false", str: "text"}
PLURALS = {"whole number": "whole numbers", "number": "numbers", "text": "texts"}


class ConfigFile:
    """One file of conf/, with the constructors that its keys reach.

    Args:
        path: The file.
        package: Dotted key below which the keys of the file stand; empty for the top level.
    """

    def __init__(self, path: Path, package: str) -> None:
        self.path, self.package = path, package
        self.values = _parsed(path.read_text())
        self.bases = [
            path.parent / f"{entry.partition('@')[0]}.yaml"
            for entry in self.values.get("defaults", ())
            if isinstance(entry, str) and entry not in ("_self_", "schema")
            if entry.partition("@")[2] in ("", "_here_")
        ]

    def type_and_meaning(self, key: str) -> tuple[str, str]:
        """Return the type of a key in words, and its meaning; either is empty if unknown."""
        value = _value(self.values, key)
        found = [_parameter(target, name) for target, name in self._receivers(key)]
        kinds = [kind for kind, _ in found if kind and kind.count(" or ") < 4]
        if value == "???":
            kinds = ["text" if kind == "part" else kind for kind in kinds]
        meanings = [meaning for _, meaning in found if meaning]
        return next(iter(kinds), _type_of(value)), next(iter(meanings), "")

    def class_summary(self, key: str) -> str:
        """Return the first sentence of the docstring of the class that a key names."""
        found = get_object(_value(self.values, key))
        is_ours = (found.__module__ or "").startswith("limner")
        return " ".join((found.__doc__ or "").partition("\n\n")[0].split()) if is_ours else ""

    def _receivers(self, key: str) -> Iterator[tuple[str, str]]:
        """Yield the classes, with their parameters, that receive the value of a key."""
        parent, _, name = key.rpartition(".")
        node = _value(self.values, parent) if parent else self.values
        if isinstance(node, Mapping) and "_target_" in node:
            yield node["_target_"], name
        elif parent and isinstance(
            node, Mapping
        ):  # the parent is an argument whose value is a mapping
            outer, _, argument = parent.rpartition(".")
            above = _value(self.values, outer) if outer else self.values
            if isinstance(above, Mapping) and "_target_" in above:
                yield above["_target_"], argument
        for base in self.bases:
            yield from ConfigFile(base, self.package)._receivers(key)
        if self.path.parent.name == "base" and not parent:
            yield from ((target, name) for target in self._users())
        full = f"{self.package}.{key}".strip(".")
        for path, value in _leaves(self.values):
            if value == f"${{{full}}}":
                yield from self._receivers(path)

    def _users(self) -> Iterator[str]:
        """Yield the classes of the options that include this file."""
        for path in sorted(self.path.parent.parent.glob("*.yaml")):
            user = ConfigFile(path, self.package)
            if self.path in user.bases and "_target_" in user.values:
                yield user.values["_target_"]


def parameters(target: str) -> dict[str, tuple[str, str]]:
    """Return the type and the meaning of each parameter of a class of limner."""
    found = get_object(target)
    return {name: _parameter(target, name) for name in inspect.signature(found).parameters}


def describe(hint: Any) -> str:
    """Return a type hint in words, such as "number or null"; empty if there are none."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in NAMES:
        return NAMES[hint]
    if hint is type(None):
        return "null"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(filter(None, map(describe, inner))))
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (list, tuple, Sequence):
        one = describe(inner[0]) if inner else ""
        count = f"{len(inner)} " if origin is tuple and Ellipsis not in inner else ""
        return f"list of {count}{PLURALS.get(one, one)}" if one else "list"
    if origin in (dict, Mapping):
        return "mapping"
    is_callable = hint is Callable or origin is Callable
    if is_callable or (inspect.isclass(hint) and not _is_plain(hint)):
        return "part"
    return "text" if hint is Path else ""


def _is_plain(hint: type) -> bool:
    return hint.__module__ in ("builtins", "pathlib", "typing", "torch")


def _type_of(value: Any) -> str:
    """Return the type of a value in words; empty for null and for a reference."""
    if isinstance(value, Mapping):
        return "mapping"
    if isinstance(value, list):
        kinds = {_type_of(item) for item in value}
        one = kinds.pop() if len(kinds) == 1 else ""
        return f"list of {PLURALS.get(one, one)}" if one in PLURALS else "list"
    if isinstance(value, str):
        if re.fullmatch(r"[-\d.]+e[-+]?\d+", value):  # YAML reads 1e-3 as text
            return "number"
        return "" if value.startswith("${") or value == "???" else "text"
    return NAMES.get(type(value), "")


@functools.cache
def _parsed(text: str) -> dict[str, Any]:
    return yaml.safe_load(text) or {}


def _value(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def _leaves(values: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from _leaves(value, f"{at}.{name}".strip("."))
    elif at:
        yield at, values


@functools.cache
def _parameter(target: str, name: str) -> tuple[str, str]:
    """Return the type of a constructor's parameter, and its description in the docstring."""
    found = get_object(target)
    function = found.__init__ if inspect.isclass(found) else found
    if name not in inspect.signature(function).parameters:
        return "", ""
    try:
        hint = typing.get_type_hints(function).get(name)
    except Exception:  # hints of a third party may name a package that is not installed
        hint = None
    meaning = ""
    for each in inspect.getmro(found) if inspect.isclass(found) else (found,):
        if (each.__module__ or "").startswith(("limner", "hydra_plugins")):
            text = inspect.cleandoc(each.__doc__ or "")
            meaning = meaning or arguments(text).get(name, "")
    return describe(hint), meaning


def arguments(docstring: str) -> dict[str, str]:
    """Return the arguments that a docstring describes, on one line each, as YAML writes values."""
    section = re.search(r"^Args:\n((?:(?:    .*)?\n?)+)", docstring, re.M)
    if section is None:
        return {}
    entries = re.split(r"^    \*{0,2}(\w+): ", section[1], flags=re.M)
    return {
        name: re.sub(r"\bNone\b", "null", " ".join(text.split())).rstrip(".")
        for name, text in zip(entries[1::2], entries[2::2], strict=True)
    }
