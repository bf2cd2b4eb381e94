"""Configs and weights from strangers, read so that nothing they say is executed.

A config is plain YAML: no tags, no anchors, no `${...}`. What it may build is a short list:
modules and optimizers of limner, torch.nn and torch.optim, and limner's own losses, likelihoods
and the like. Weights are tensors (those of a run's checkpoint: `limner.checkpoint_files`).
"""

__all__ = ["build", "read_config", "read_safetensors", "within"]

import functools
import importlib
import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from limner.errors import UserError
from limner.plain_files import NotPlainError, read_yaml
from limner.printable import printable

MODULES = ("limner", "torch.nn", "torch.optim")
PARTS = ("limner.augmentations", "limner.losses", "limner.models", "limner.networks")


def read_config(path: Path) -> dict[str, Any]:
    """A config file as plain data.

    Raises:
        UserError: If it is no YAML mapping of plain values, or holds an interpolation.
    """
    try:
        config = read_yaml(path)
    except NotPlainError as error:
        raise UserError(f"{path} {error}.") from error
    if not isinstance(config, dict):
        raise UserError(f"{path}: a config is a mapping of keys to values.")
    _refuse_interpolations(path, config, "")
    return config


def build(node: Any, path: str, *, trust: Sequence[str] = ()) -> Any:
    """The objects that a node of plain data describes by its `_target_`s.

    Args:
        node: Mappings, lists and values; a mapping with `_target_` becomes an object of that
            class, with `_partial_: true` (optimizers only) a factory of such objects.
        path: The node's key, for messages.
        trust: Further packages, whose classes may all be built.

    Raises:
        UserError: If a target is not one that may be built, or refuses its arguments.
    """
    if isinstance(node, list):
        return [build(item, f"{path}[{i}]", trust=trust) for i, item in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    arguments = {
        key: build(value, f"{path}.{key}", trust=trust)
        for key, value in node.items()
        if key not in ("_target_", "_partial_")
    }
    if "_target_" not in node:
        return arguments
    target = _target(node["_target_"], path, trust)
    if reserved := [key for key in arguments if not isinstance(key, str) or key.startswith("_")]:
        raise UserError(f"{path}.{reserved[0]}: not a key that is read here.")
    if node.get("_partial_", False):
        if not issubclass(target, torch.optim.Optimizer):
            raise UserError(f"{path}._partial_: for optimizers only, not {target.__name__}.")
        return functools.partial(target, **arguments)
    try:
        return target(**arguments)
    except Exception as error:  # a stranger's values may break a constructor in any way
        raise UserError(
            f"{path}: {target.__name__} cannot be made from this config ({error}); it may have "
            "been written by another version of limner."
        ) from error


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file. Raises `UserError` if it is not whole, or no file."""
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no regular file")
        return safetensors.torch.load_file(path)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} is missing, corrupt or only half written ({error}).") from error


def within(folder: Path, name: Any, *, root: Path) -> Path:
    """The file `name` of a folder.

    Raises:
        UserError: If it is anything but a file name, or a link that leads out of `root`.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or Path(name).name != name:
        raise UserError(f"{folder}: {name!r} is refused, for it is no file name of this folder.")
    path = folder / name
    if not path.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{path} is refused, for it leads out of the folder.")
    return path


def _refuse_interpolations(file: Path, node: Any, path: str) -> None:
    if isinstance(node, str) and "${" in node:
        where = f"{path}={node}"
        raise UserError(
            f"{file}: {printable(where)} is refused: an interpolation could read secrets."
        )
    pairs = node.items() if isinstance(node, dict) else ()
    pairs = enumerate(node) if isinstance(node, list) else pairs
    for key, value in pairs:
        _refuse_interpolations(file, key, f"{path} (a key)")
        _refuse_interpolations(file, value, f"{path}.{key}" if path else str(key))


def _target(name: Any, path: str, trust: Sequence[str]) -> type:
    """The class that a `_target_` names, if it may be built.

    The modules are imported by their full names, so that a path cannot walk through a module into
    one that it happens to import; and a class is judged by where it was defined.
    """
    refusal = UserError(
        f"{path}._target_={name} is refused: only modules and optimizers of limner, torch.nn and "
        "torch.optim, and limner's own parts, are built from a saved config (and what trust=[...] "
        "names: your own packages)."
    )
    if not isinstance(name, str) or re.fullmatch(r"[A-Za-z]\w*(\.[A-Za-z_]\w*)+", name) is None:
        raise refusal
    module, _, attribute = name.rpartition(".")
    if not _lies_in(module, (*MODULES, *trust)):
        raise refusal
    try:
        target = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise refusal from error
    if not inspect.isclass(target) or not _lies_in(target.__module__, (*MODULES, *trust)):
        raise refusal
    is_part = _lies_in(target.__module__, (*PARTS, *trust)) and not getattr(
        target, "_is_protocol", False
    )
    if not is_part and not issubclass(target, nn.Module | torch.optim.Optimizer):
        raise refusal
    return target


def _lies_in(module: str, packages: Sequence[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
