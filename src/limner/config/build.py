"""Check the arguments of every `_target_` of a config, and build its objects.

Only this folder and the layers above it use Hydra.
"""

__all__ = [
    "build",
    "check",
    "composed",
    "is_refusal",
    "similar",
]

import inspect
import logging
import re
import traceback
import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from limner.config.error_messages import must_be_given, shortened
from limner.config.facts import FACTS, refuse_missing_facts, unfit_network, with_placeholders
from limner.config.groups import check_groups
from limner.config.own_code import OwnModuleError, is_from_library
from limner.config.ranges import check_finite, check_optimizer, check_range, with_float_betas
from limner.config.similar import similar
from limner.config.types import check_type
from limner.errors import UserError
from limner.files.own_code import origin

CHECKED_BY = ("limner", "lightning", "torchmetrics", "hydra")
"""Packages that check their arguments; Hydra raises if a call does not fit a signature."""

logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # Hydra also raises these errors


def composed(config: DictConfig, *, only: str | None = None) -> dict[str, Any]:
    """Return the config as plain data, with every `${...}` replaced, and without `network`.

    The network group holds parts for models to read; parts that no model reads may be incomplete.
    With `only`, a top-level key, return only the part of this key.

    Raises:
        UserError: If a value is missing, or reads a missing value.
    """
    keys = [key for key in config if key != "network"] if only is None else [only]
    try:
        return {key: _plain(config, key) for key in keys}
    except MissingMandatoryValue as error:
        raise UserError(must_be_given(error.full_key)) from error
    except InterpolationKeyError as error:
        refuse_missing_facts(config, error)
        raise UserError(unfit_network(config, error) or shortened(error, lines=1)) from error
    except OmegaConfBaseException as error:
        raise UserError(shortened(error, lines=1)) from error


def check(config: DictConfig, *, only: Collection[str] | None = None) -> None:
    """Compare every `_target_` node with the signature of its class.

    Args:
        config: Config of a run.
        only: Top-level keys whose nodes are compared; None for all.

    Raises:
        UserError: If a key is not a parameter, a parameter is missing, or a value has the wrong
            type.
    """
    if only is None:
        check_groups(config)
    config = with_placeholders(config)
    read, values = _read_keys(written := OmegaConf.to_container(config)), composed(config)
    values["metrics"].pop("choices", None)
    values["model"] = values.pop("model")  # last, since errors should name the keys it reads
    if only is not None:
        values = {key: value for key, value in values.items() if key in only}
    for path, node, links in _targets(values, written):
        _check_node(path, node, links, read)


def build(config: DictConfig, key: str, **more: Any) -> Any:
    """Build the objects of the node at `key`.

    An exception that is not known to be a user's mistake is raised unchanged, with a note that
    names the key.

    Args:
        config: Config of a run.
        key: Top-level key of the node.
        more: Further arguments of the node's `_target_`.

    Raises:
        UserError: If a constructor refuses its arguments, see `is_refusal`. For a constructor of
            an installed library, a ValueError or a TypeError is a refusal.
    """
    value, read = composed(config, only=key)[key], _read_keys(OmegaConf.to_container(config))
    try:
        return instantiate(_without_shared(key, value, read), **more, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if cause is None:
            raise
        if is_refusal(cause):
            raise (cause if isinstance(cause, UserError) else UserError(str(cause))) from error
        if (refused := _refused_by_library(error, cause, key)) is not None:
            raise refused from error
        cause.add_note(f"limner was building {key}: {str(error).splitlines()[0]}")
    raise cause  # outside of the handler, so that Hydra's exceptions are not chained to it


def is_refusal(error: BaseException) -> bool:
    """Return whether an exception of a constructor is known to be the user's mistake.

    Such exceptions are a `UserError`, Lightning's `MisconfigurationException`, and a ValueError,
    TypeError or ImportError that limner or Lightning raises itself, or that states that a call
    does not fit. Exceptions of other code, including the user's code, may be bugs.
    """
    from lightning.pytorch.utilities.exceptions import MisconfigurationException  # imports torch

    if isinstance(error, UserError | MisconfigurationException):
        return True
    if not isinstance(error, ValueError | TypeError | ImportError):
        return False
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)  # the frame that raised it
    return frame.f_globals.get("__name__", "").split(".")[0] in CHECKED_BY


def _refused_by_library(
    error: InstantiationException, cause: BaseException, key: str
) -> UserError | None:
    """Return the error for a library's constructor that refused its arguments, else None."""
    if not isinstance(cause, ValueError | TypeError):
        return None
    called = re.search(r"Error in call to target '([^']+)'", str(error))
    below = re.search(r"full_key: (\S+)", str(error))
    if called is None:
        return None
    try:
        target = get_object(called[1])
    except (ImportError, ValueError):  # the class is defined inside a function
        return None
    if not is_from_library(cause, target):
        return None
    where = f"{key}.{below[1]}" if below else key
    return UserError(f"{where}: {called[1]} refuses its arguments: {cause}")


def _plain(config: DictConfig, key: str) -> Any:
    value = config[key]
    if not OmegaConf.is_config(value):
        return value
    plain = OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
    return with_float_betas(plain) if key == "optimizer" else plain


def _read_keys(node: Any) -> set[str]:
    """Return the keys that a config, given as plain data, reads as `${key}`."""
    if isinstance(node, str):
        return set(re.findall(r"\$\{([\w.]+)\}", node))
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return set().union(*map(_read_keys, parts))


def _targets(
    node: Any, written: Any, path: str = ""
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, str]]]:
    """Yield (path, node, links) for every node with a `_target_`, outermost first.

    A node `written` as `${network.encoder}` has this path; links are such paths of values.
    """
    if link := _link(written):
        path, written = link, node
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield path, node, {key: link for key in node if (link := _link(written[key]))}
        for key, value in node.items():
            yield from _targets(value, written[key], f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from _targets(value, written[i], f"{path}[{i}]")


def _link(written: Any) -> str | None:
    """Return the key of a value written as `${key}`, else None."""
    found = re.fullmatch(r"\$\{(\w[\w.]*)\}", str(written))
    return found and found[1]


def _without_shared(path: str, node: Any, read: set[str]) -> Any:
    """Return the node without keys that serve only other keys, such as `data.root`."""
    if isinstance(node, list):
        return [_without_shared(f"{path}[{i}]", value, read) for i, value in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    taken = _parameters(get_object(node["_target_"])) if "_target_" in node else None
    return {
        key: _without_shared(f"{path}.{key}", value, read)
        for key, value in node.items()
        if taken is None or key.startswith("_") or key in taken or f"{path}.{key}" not in read
    }


def _parameters(target: Any) -> dict[str, inspect.Parameter]:
    """Return the parameters by name; an entry `**` stands for any further parameter."""
    parameters = inspect.signature(target).parameters
    return {("**" if p.kind is p.VAR_KEYWORD else name): p for name, p in parameters.items()}


def _check_node(path: str, node: Mapping[str, Any], links: Mapping, read: set[str]) -> None:
    target = _imported(f"{path}._target_", node["_target_"])
    try:
        parameters = _parameters(target)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}._target_={node['_target_']} cannot be called: {error}") from error
    if not isinstance(node.get("_partial_", False), bool):
        raise UserError(f"{path}._partial_={node['_partial_']}: must be true or false.")
    given = {key: value for key, value in node.items() if not key.startswith("_")}
    hints = _hints(target)
    module = str(getattr(target, "__module__", ""))
    is_ours = module.split(".")[0] == "limner"
    ordered = sorted(given, key=lambda key: key in FACTS)  # they follow from the other keys
    for key, value in ((key, given[key]) for key in ordered):
        if value is None and key in FACTS:
            continue  # unknown before the files are read
        name = links.get(key, f"{path}.{key}")  # the key that a user sets
        if key in parameters:
            check_type(name, value, hints.get(key, Any))
        if key in parameters or "**" in parameters:
            is_strict = (is_ours and "limit" not in key) or module.startswith("torch.optim")
            check_finite(name, value, allows_infinity=not is_strict)
        if is_ours and key in parameters:
            check_range(name, value, parameter=key)
        if key in parameters:
            continue
        if "**" not in parameters and f"{path}.{key}" not in read:
            raise UserError(
                f"{path}.{key} is not a parameter of {target.__name__}"
                + similar(key, [name for name in parameters if name != "self"])
            )
    missing = [
        name
        for name, p in parameters.items()
        if name != "**" and p.default is p.empty and p.kind is not p.VAR_POSITIONAL
        and name not in given
    ]  # fmt: skip
    if missing and not node.get("_partial_"):
        raise UserError(f"{path} lacks {', '.join(missing)}, which {target.__name__} needs.")
    if node.get("_partial_") and _is_optimizer(target) and origin(target) == "library":
        check_optimizer(path, target, {key: given[key] for key in given if key in parameters})


def _is_optimizer(target: Any) -> bool:
    """Return whether a class is an optimizer of torch, without importing torch."""
    bases = target.__mro__ if inspect.isclass(target) else ()
    return any(base.__module__ == "torch.optim.optimizer" for base in bases)


def _imported(key: str, name: Any) -> Any:
    """Return the object of this dotted name.

    Raises:
        UserError: If there is no module or attribute with this name.
        OwnModuleError: If a module raises an exception during its import.
    """
    if not isinstance(name, str) or not name:
        raise UserError(
            f"{key}={name}: must be the dotted name of a class, such as torch.optim.SGD."
        )
    try:
        return get_object(name)
    except (ImportError, ValueError) as error:  # Hydra raises these for any failure
        cause = error.__cause__
        is_missing = isinstance(cause, ModuleNotFoundError) and _is_in(name, cause.name)
        if cause is None or is_missing or isinstance(cause, AttributeError):
            raise UserError(f"{key}={name} cannot be imported: {error}") from error
        raise OwnModuleError(f"{key}={name}", cause) from error


def _is_in(name: str, module: str | None) -> bool:
    """Return whether a dotted name is the name of a module, or of something in the module."""
    return module is not None and f"{name}.".startswith(f"{module}.")


def _hints(target: Any) -> dict[str, Any]:
    """Return the types of the parameters; nothing if they cannot be resolved."""
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(function)
    except Exception:  # hints of a third party may name a package that is not installed
        return {}
