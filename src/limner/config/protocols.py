"""Compare the class of a config's node with the protocol that its place asks for."""

__all__ = ["check_protocol", "protocol_in"]

import inspect
import types
import typing
from typing import Any

from hydra.utils import get_object

from limner.errors import UserError


def check_protocol(key: str, name: Any, hint: Any) -> None:
    """Raise `UserError` if a class lacks methods that its place asks for.

    Args:
        key: Dotted key of the node, such as model.loss.
        name: The node's `_target_`.
        hint: Type hint of the parameter that gets the object: a protocol, or a union with one.
    """
    from limner.interfaces import missing_members  # imports torch

    protocols = _protocols_in(hint)
    if not protocols or not isinstance(name, str):
        return
    try:
        kind = get_object(name)
    except (ImportError, ValueError):
        return  # the check of the node itself raises the error
    if not inspect.isclass(kind):
        return
    missing = [missing_members(kind, protocol) for protocol in protocols]
    if all(missing):
        raise UserError(
            f"{key}: {name} has no method {', '.join(missing[0])}.\n"
            f"{protocols[0].__module__}.{protocols[0].__name__} documents each method."
        )


def _protocols_in(hint: Any) -> list[type]:
    """Return the protocols in a hint, [] if there are none; a class needs only one of them."""
    options = typing.get_args(hint) if _is_union(hint) else (hint,)
    found = [protocol_in(option) for option in options if option is not type(None)]
    return [] if None in found else found


def protocol_in(hint: Any) -> type | None:
    """Return the protocol in a type hint (a protocol, or a protocol or null), else None."""
    if getattr(hint, "_is_protocol", False):
        return hint
    if _is_union(hint):
        found = [protocol_in(option) for option in typing.get_args(hint)]
        protocols = [each for each in found if each is not None]
        parts = [option for option in typing.get_args(hint) if option is not type(None)]
        return protocols[0] if len(protocols) == len(parts) == 1 else None
    return None


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)
