"""Rules about the classes that an untrusted config may name at each key.

Each key may name only classes of the kind that conf/ has at this key.

A list of allowed prefixes is no defence, since `torch.nn.parallel.distributed.os.system` resolves.
So each key of a config has a role. A role states the packages in which its classes are defined,
the condition that a class must meet, and whether a class is built or passed as a factory
(`_partial_`). A name is imported only if it lies in one of these packages. The check then uses the
module that defines the imported object, not the name by which it was imported.
"""

__all__ = [
    "RESERVED",
    "Role",
    "allowed",
    "foreign_classes",
    "refuse_foreign",
    "role_of",
    "targets",
]

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.loggers import Logger
from torch import nn
from torchvision.datasets import VisionDataset

from limner.errors import UserError

PARTS = (
    "limner.augmentations",
    "limner.losses",
    "limner.models",
    "limner.networks",
    "limner.schedules",
)
READ_ANYTHING = ("DatasetFolder", "ImageFolder", "LSUN", "LSUNClass")
"""Data sets of torchvision that unpickle files, or open files of any format."""
NO_STRANGERS = ("model_registry",)
"""Arguments that would make the trainer upload the weights."""
RESERVED = ("_target_", "_partial_")
"""Keys of Hydra that a node of an untrusted config may have."""
NEVER_ASKED = {
    "hydra", "lightning", "limner", "numpy", "omegaconf", "pytorch_lightning", "scipy", "sklearn",
    "torch", "torchmetrics", "torchvision", "yaml",
}  # fmt: skip
"""Packages that messages never suggest for trust=[...], since their useful classes have roles."""


class Role(NamedTuple):
    """Conditions on a class at the keys that match a pattern.

    Args:
        key: Regular expression of the dotted keys.
        packages: Packages that may define the class, and by which it may be named.
        fits: Function that returns whether a class of these packages has this role.
        is_factory: Function that returns whether a class has `_partial_: true` at these keys.
    """

    key: str
    packages: tuple[str, ...]
    fits: Callable[[type], bool]
    is_factory: Callable[[type], bool]


def _never(_: type) -> bool:
    return False


def _always(_: type) -> bool:
    return True


def _is_optimizer(kind: type) -> bool:
    return issubclass(kind, torch.optim.Optimizer)


def _is_part(kind: type) -> bool:
    ours = _lies_in(kind.__module__, PARTS) and not getattr(kind, "_is_protocol", False)
    return ours or issubclass(kind, nn.Module | torch.optim.Optimizer)


def _has(method: str) -> Callable[[type], bool]:
    return lambda kind: hasattr(kind, method) and not getattr(kind, "_is_protocol", False)


def _is(base: type) -> Callable[[type], bool]:
    return lambda kind: issubclass(kind, base)


def _is_data_set(kind: type) -> bool:
    return issubclass(kind, VisionDataset) and kind.__name__ not in READ_ANYTHING


_METRICS = r"metrics(\.choices\.\w+)?"
_OF_MODELS = (*PARTS, "torch.nn", "torch.optim")
ROLES = (
    Role("trainer", ("lightning.pytorch",), _is(Trainer), _never),
    Role("data", ("limner.data",), _is(LightningDataModule), _never),
    Role(r"data\.source", ("limner.data",), _has("pictures"), _never),
    Role(r"data\.source\.splits\.\w+", ("torchvision.datasets",), _is_data_set, _always),
    Role(r"data\.augmentation(\W.*)?", ("limner.augmentations",), _is_part, _never),
    Role("optimizer", ("torch.optim",), _is_optimizer, _always),
    Role("lr_schedule", ("limner.schedules",), _is_part, _never),
    Role(_METRICS, ("limner.callbacks.scores",), _is(Callback), _never),
    Role(rf"{_METRICS}\.features", ("limner.metrics",), _has("prepare"), _never),
    Role(rf"{_METRICS}\.features\.network(\W.*)?", _OF_MODELS, _is_part, _is_optimizer),
    Role(r"callbacks\.\w+", ("limner.callbacks",), _is(Callback), _never),
    Role(r"logger\.\w+", ("limner.loggers",), _is(Logger), _never),
    Role("gradients", ("limner.models",), _is_part, _never),
    Role(r"(model|network)(\W.*)?", _OF_MODELS, _is_part, _is_optimizer),
)


def role_of(key: str) -> Role | None:
    """Return the role of the class at a dotted key; None if conf/ has no class there."""
    return next((role for role in ROLES if re.fullmatch(role.key, key)), None)


def allowed(name: Any, key: str, *, trust: Sequence[str] = ()) -> type | None:
    """Return the class that a `_target_` names if it is allowed at this key, else None.

    Only modules of the role's packages and of trusted packages are imported.
    """
    if not isinstance(name, str) or re.fullmatch(r"[A-Za-z]\w*(\.[A-Za-z_]\w*)+", name) is None:
        return None
    module, _, attribute = name.rpartition(".")
    role = role_of(key)
    packages = () if role is None else role.packages
    if not _lies_in(module, (*packages, *trust)):
        return None
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except Exception:  # importing a module may raise any exception
        return None
    if not inspect.isclass(kind):
        return None
    if _lies_in(kind.__module__, trust):
        return kind
    fits = role is not None and _lies_in(kind.__module__, role.packages) and role.fits(kind)
    return kind if fits else None


def targets(node: Any, key: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (dotted key, node) of each mapping with a `_target_`, outermost first."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield key, node
        for name, value in node.items():
            yield from targets(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from targets(value, f"{key}[{i}]")


def foreign_classes(
    values: Mapping[str, Any],
    *,
    trust: Sequence[str],
    own: Collection[tuple[str, str]] = frozenset(),
) -> list[tuple[str, str]]:
    """Return (dotted key, name) of each class that may not be built at its key.

    Args:
        values: Plain data of a config, with every `${...}` replaced.
        trust: Packages whose classes are allowed at every key.
        own: (dotted key, name) of classes that the user chose.
    """
    found = []
    for key, node in targets(values):
        name = node["_target_"]
        if isinstance(name, str) and (key, name) in own:
            continue
        kind = allowed(name, key, trust=trust)
        if kind is None:
            found.append((key, str(name)))
            continue
        odd = [k for k in node if not isinstance(k, str) or (k[:1] == "_" and k not in RESERVED)]
        found += [(f"{key}.{k}", str(node[k])) for k in odd]
        if _lies_in(kind.__module__, trust):
            continue
        if bool(node.get("_partial_", False)) is not role_of(key).is_factory(kind):
            found.append((f"{key}._partial_", str(node.get("_partial_", False))))
        if key == "trainer":
            odd = [k for k in node if k in NO_STRANGERS or not _is_scalar(node[k])]
            found += [(f"{key}.{k}", str(node[k])) for k in odd]
    return found


def refuse_foreign(
    values: Mapping[str, Any],
    subject: str,
    *,
    trust: Sequence[str],
    own: Collection[tuple[str, str]] = frozenset(),
) -> None:
    """Raise UserError if some classes may not be built at their keys; the message names them.

    Args:
        values: Plain data of a config, with every `${...}` replaced.
        subject: First words of the message, such as "run=outputs/a".
        trust: Packages whose classes are allowed at every key.
        own: (dotted key, name) of classes that the user chose.
    """
    found = foreign_classes(values, trust=trust, own=own)
    if not found:
        return
    shown = ", ".join(f"{key}={name}" for key, name in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    packages = sorted({package for _, name in found if (package := _askable(name))})
    advice = (
        f"If they are your own: trust=[{','.join(packages)}]. That runs their code."
        if packages
        else "No command needs them there."
    )
    raise UserError(
        f"{subject}: its config names classes that are not limner's: {shown}{more}. None of "
        f"them was run. {advice}"
    )


def _askable(name: str) -> str | None:
    """Return the package of a class if it may be the user's own package, else None."""
    package, dot, _ = name.partition(".")
    known = package in sys.stdlib_module_names or package in NEVER_ASKED
    return None if known or not dot or not package.isidentifier() else package


def _is_scalar(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_scalar(item) and not isinstance(item, list) for item in value)
    return value is None or isinstance(value, str | int | float)


def _lies_in(module: str, packages: Sequence[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
