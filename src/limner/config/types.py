"""Comparison of config values with the parameter types of constructors."""

__all__ = ["check_type"]

import inspect
import types
import typing
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

from limner.config.protocols import check_protocol
from limner.errors import UserError

OF_CODES = (
    "\nThe model leaves the size of its codes to the network: choose network=draw or\n"
    "network=ladder, or set model.latent_dim=32, for example."
)
"""Advice for a network that needs the size of the codes."""


def check_type(key: str, value: Any, hint: Any) -> None:
    """Raise UserError if a plain value does not fit the type of its parameter.

    Args:
        key: Dotted key, as typed on the command line.
        value: Value in the config; a node with a `_target_` fits any type.
        hint: Type hint of the parameter.
    """
    if isinstance(value, Mapping) and "_target_" in value:
        if not value.get("_partial_"):
            check_protocol(key, value["_target_"], hint)
        return
    if not _accepts(hint, value):
        described, kind = _describe(hint), _kind(value)
        if _has_words(hint) and isinstance(value, str):  # the type is right, the word is not
            raise UserError(f"{key}={value}: must be {described}.")
        if kind.split()[-1] in described:  # "a whole number, not a number" would puzzle
            kind = str(value)
        shown = "null" if value is None else value
        advice = OF_CODES if value is None and key.endswith(".latent_dim") else ""
        raise UserError(f"{key}={shown}: must be {described}, not {kind}.{advice}")


def _accepts(hint: Any, value: Any) -> bool:
    """Return whether a value fits a type; types that a config cannot express fit any value."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_accepts(option, value) for option in inner)
    if origin is typing.Literal:
        return value in inner
    if hint is Any:
        return True  # the code below would treat Any as a class
    if hint in (None, type(None)):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str)
    if hint in (Callable, typing.Callable) or origin is Callable:
        return False  # plain data is never callable
    if origin is tuple and Ellipsis not in inner:
        return isinstance(value, list) and len(value) == len(inner) and all(
            map(_accepts, inner, value)
        )  # fmt: skip
    if origin in (dict, Mapping, MutableMapping):
        holds_parts = inspect.isclass(inner[1]) and inner[1] not in (bool, int, float, str)
        return isinstance(value, Mapping) and (
            not holds_parts
            or all("_target_" in v if isinstance(v, Mapping) else False for v in value.values())
        )
    if origin in (list, tuple, Sequence, typing.Sequence):
        items = [option for option in inner if option is not Ellipsis] or [Any]
        return isinstance(value, list) and all(_accepts(items[0], item) for item in value)
    if inspect.isclass(hint) and isinstance(value, str | int | float | bool):
        # a class such as torch.Tensor does not take a word or a number
        if _is_part(hint):
            return False
        return hint is object or issubclass(type(value), hint) or hint.__module__ == "pathlib"
    if inspect.isclass(hint):
        return not _is_part(hint) and isinstance(value, hint)
    return True


def _has_words(hint: Any) -> bool:
    """Return whether a hint is a choice of words, or contains one among its options."""
    if typing.get_origin(hint) is typing.Literal:
        return any(isinstance(word, str) for word in typing.get_args(hint))
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return is_union and any(map(_has_words, typing.get_args(hint)))


def _describe(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    options = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        shown = [
            _describe(o)
            for o in options
            if o in names or o is type(None) or typing.get_origin(o) or _is_part(o)
        ]
        return " or ".join(dict.fromkeys(shown)) or str(hint)
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(map(str, options))
    if typing.get_origin(hint) is tuple and Ellipsis not in options:
        one = _describe(options[0]).removeprefix("a ").split(" or ")[0]
        return f"a list of {len(options)} {one}s"
    if typing.get_origin(hint) in (dict, Mapping, MutableMapping):
        return "a mapping"
    if typing.get_origin(hint) in (list, tuple, Sequence):
        return f"a list of {_describe(options[0])}s".replace("a list of a ", "a list of ")
    if _is_part(hint) or hint is Callable or typing.get_origin(hint) is Callable:
        return "a mapping with _target_"
    return "null" if hint is type(None) else names.get(hint, getattr(hint, "__name__", str(hint)))


def _is_part(hint: Any) -> bool:
    """Return whether a hint is a protocol of limner, such as a loss, which needs a `_target_`."""
    return getattr(hint, "_is_protocol", False)


def _kind(value: Any) -> str:
    kinds = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
    return "null" if value is None else kinds.get(type(value), f"a {type(value).__name__}")
