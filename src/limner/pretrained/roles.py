"""Rules about the classes that an untrusted config may name at each key.

Each key may name only classes of the kind that conf/ has at this key.

A list of allowed prefixes is no defence: `torch.nn.parallel.distributed.os.system` begins with
`torch.nn`, but is the function `os.system`, which a module of torch imports.
So each key of a config has a role. A role states the packages in which its classes are defined,
the condition that a class must meet, and whether a class is built or passed as a factory
(`_partial_`). A name is imported only if it lies in one of these packages. The check then uses the
module that defines the imported object, not the name by which it was imported.
"""

__all__ = ["RESERVED", "Role", "allowed", "lies_in", "role_of"]

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Sequence
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
OPENS = (
    "pictures", "open_stores", "pairs", "open_pair_stores", "domains", "open_domains",
    "open_sequences",
)  # fmt: skip
"""Methods by which the sources of data are opened."""
RESERVED = ("_target_", "_partial_")
"""Keys of Hydra that a node of an untrusted config may have."""


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
    ours = lies_in(kind.__module__, PARTS) and not getattr(kind, "_is_protocol", False)
    return ours or issubclass(kind, nn.Module | torch.optim.Optimizer)


def _has(*methods: str) -> Callable[[type], bool]:
    """Return the condition that a class is no protocol, and has one of the methods."""

    def fits(kind: type) -> bool:
        is_protocol = getattr(kind, "_is_protocol", False)
        return any(hasattr(kind, name) for name in methods) and not is_protocol

    return fits


def _is(base: type) -> Callable[[type], bool]:
    return lambda kind: issubclass(kind, base)


def _is_data_set(kind: type) -> bool:
    return issubclass(kind, VisionDataset) and kind.__name__ not in READ_ANYTHING


_METRICS = r"metrics(\.choices\.\w+)?"
_FEATURES = rf"{_METRICS}(\.distances)?\.features"
_SCORES = (
    "scores", "pair_scores", "domain_scores", "frame_scores", "sequence_scores", "caption_scores",
)  # fmt: skip
_OF_METRICS = tuple(f"limner.callbacks.{name}" for name in _SCORES)
_OF_MODELS = (*PARTS, "torch.nn", "torch.optim")
ROLES = (
    Role("trainer", ("lightning.pytorch",), _is(Trainer), _never),
    Role("data", ("limner.data",), _is(LightningDataModule), _never),
    Role(r"data\.source", ("limner.data",), _has(*OPENS), _never),
    Role(r"data\.source\.shapes", ("limner.data",), _has("open_stores"), _never),
    Role(r"data\.source\.[ab]", ("limner.data",), _has("paint"), _never),
    Role(r"data\.source\.digits", ("limner.data",), _has("pictures"), _never),
    Role(
        r"data\.source\.(digits\.)?splits\.\w+", ("torchvision.datasets",), _is_data_set, _always
    ),
    Role(r"data\.(augmentation|degradation)(\W.*)?", ("limner.augmentations",), _is_part, _never),
    Role("optimizer", ("torch.optim",), _is_optimizer, _always),
    Role("(lr|beta2)_schedule", ("limner.schedules",), _is_part, _never),
    Role(_METRICS, _OF_METRICS, _is(Callback), _never),
    Role(rf"{_METRICS}\.perceptual(\W.*)?", _OF_MODELS, _is_part, _never),
    Role(rf"{_METRICS}\.distances", ("limner.metrics",), _has("between"), _never),
    Role(_FEATURES, ("limner.metrics",), _has("prepare"), _never),
    Role(rf"{_METRICS}\.(matching|attributes)", ("limner.metrics",), _has("hits"), _never),
    Role(rf"{_METRICS}\.(matching|attributes)\.network", _OF_MODELS, _is_part, _never),
    Role(rf"{_FEATURES}\.network(\W.*)?", _OF_MODELS, _is_part, _is_optimizer),
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

    Raises:
        UserError: If the module of a trusted package cannot be imported, or has no such class.
    """
    if not isinstance(name, str) or re.fullmatch(r"[A-Za-z]\w*(\.[A-Za-z_]\w*)+", name) is None:
        return None
    module, _, attribute = name.rpartition(".")
    role = role_of(key)
    packages = () if role is None else role.packages
    is_trusted = lies_in(module, trust)
    if not is_trusted and not lies_in(module, packages):
        return None
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # importing a module may raise any exception
        if is_trusted:
            raise UserError(f"{key}._target_={name}: {_reason(module, error)}") from error
        return None
    if not inspect.isclass(kind):
        return None
    if lies_in(kind.__module__, trust):
        return kind
    fits = role is not None and lies_in(kind.__module__, role.packages) and role.fits(kind)
    return kind if fits else None


def lies_in(module: str, packages: Sequence[str]) -> bool:
    """Return whether a module is one of these packages, or lies in one of them."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _reason(module: str, error: BaseException) -> str:
    """Return why a trusted module did not give a class, and how to make it importable."""
    if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
        return (
            f"Python finds no module {error.name}, which trust= names.\nPass the folder that "
            f"contains {error.name}: --config-dir FOLDER or PYTHONPATH=FOLDER, or in Python "
            'sys.path.append("FOLDER")'
        )
    if isinstance(error, AttributeError) and getattr(error, "obj", None) is sys.modules.get(
        module
    ):
        return f"the module {module} has no class {error.name}."
    return f"the module {module} cannot be imported ({type(error).__name__}: {error})."
