"""Reading of untrusted configs and weights without executing any of their code.

A config is plain YAML without tags, anchors and `${...}`. It may build only a short list of
classes, each at the keys where conf/ has the class (`limner.pretrained.roles`). Weights are
tensors; `limner.runs.checkpoints` reads the checkpoint of a run.
"""

__all__ = ["build", "read_config", "read_safetensors", "within"]

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from limner.errors import UserError
from limner.files.plain import NotPlainError, read_yaml
from limner.files.printable import printable
from limner.pretrained.refusals import advice
from limner.pretrained.roles import RESERVED, allowed, role_of


def read_config(path: Path) -> dict[str, Any]:
    """Return a config file as plain data.

    Raises:
        UserError: If the file is not a YAML mapping of plain values, or has an interpolation.
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
    """Build the objects that the `_target_`s of a node of plain data describe.

    Args:
        node: Mappings, lists and values. A mapping with `_target_` becomes an object of that
            class; with `_partial_: true` (optimizers, data sets) it becomes a factory of such
            objects.
        path: Dotted key of the node, which decides its role.
        trust: Further packages whose classes may all be built.

    Raises:
        UserError: If a class may not be built, or refuses its arguments.
    """
    if isinstance(node, list):
        return [build(item, f"{path}[{i}]", trust=trust) for i, item in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    arguments = {
        key: build(value, f"{path}.{key}", trust=trust)
        for key, value in node.items()
        if key not in RESERVED
    }
    if "_target_" not in node:
        return arguments
    name = node["_target_"]
    target = allowed(name, path, trust=trust)
    if target is None:
        raise UserError(
            f"{path}._target_={name} is refused. A saved config may name only classes of limner "
            "and modules and optimizers of torch, each in its own place. "
            + advice([str(name)], trust=trust)
        )
    if reserved := [key for key in arguments if not isinstance(key, str) or key.startswith("_")]:
        raise UserError(f"{path}.{reserved[0]}: limner does not read this key.")
    role, partial = role_of(path), bool(node.get("_partial_", False))
    known = role is not None and target.__module__.startswith(role.packages)
    if known and partial is not role.is_factory(target):
        raise UserError(
            f"{path}._partial_ is only for optimizers, not for {target.__name__}."
            if partial
            else f"{path}: {target.__name__} needs _partial_: true."
        )
    if partial:
        return functools.partial(target, **arguments)
    try:
        return target(**arguments)
    except UserError:
        raise
    except Exception as error:  # untrusted values may break a constructor in any way
        raise UserError(
            f"{path}: {target.__name__} cannot be made from this config ({error}); it may have "
            "been written by another version of limner."
        ) from error


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors file; raise UserError if it is missing or damaged."""
    import safetensors.torch  # a training needs no such file

    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no regular file")
        return safetensors.torch.load_file(path)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} is missing, corrupt or only half written ({error}).") from error


def within(folder: Path, name: Any, *, root: Path) -> Path:
    """Return the path of the file `name` in a folder.

    Raises:
        UserError: If `name` is not a file name, or if it is a link that leads out of `root`.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or Path(name).name != name:
        raise UserError(
            f"{folder}: {name!r} is refused because it is not a file name of this folder."
        )
    path = folder / name
    try:
        lies_in = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # such as a loop of links, or a NUL
        raise UserError(f"{path} cannot be read ({error}).") from error
    if not lies_in:
        raise UserError(f"{path} is refused because it leads out of the folder.")
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
