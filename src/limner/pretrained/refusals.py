"""Search of a config for classes that limner may not build, and the refusal that names them."""

__all__ = ["advice", "foreign_classes", "refuse_foreign", "targets"]

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from limner.errors import UserError
from limner.pretrained.roles import RESERVED, allowed, lies_in, role_of

NO_STRANGERS = ("model_registry",)
"""Arguments that would make the trainer upload the weights."""
NEVER_ASKED = {
    "hydra", "lightning", "limner", "numpy", "omegaconf", "pytorch_lightning", "scipy", "sklearn",
    "torch", "torchmetrics", "torchvision", "yaml",
}  # fmt: skip
"""Packages that messages never suggest for trust=[...], since their useful classes have roles."""


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

    Trusted modules are imported only if all other classes may be built.

    Args:
        values: Plain data of a config, with every `${...}` replaced.
        trust: Packages whose classes are allowed at every key.
        own: (dotted key, name) of classes that the user chose.

    Raises:
        UserError: If a trusted module cannot be imported.
    """
    found, trusted = [], []
    for key, node in targets(values):
        name = node["_target_"]
        if isinstance(name, str) and (key, name) in own:
            continue
        odd = [k for k in node if not isinstance(k, str) or (k[:1] == "_" and k not in RESERVED)]
        found += [(f"{key}.{k}", str(node[k])) for k in odd]
        if isinstance(name, str) and lies_in(name.rpartition(".")[0], trust):
            trusted.append((key, node))
        else:
            found += _faults(key, node, trust)
    if not found:
        for key, node in trusted:
            found += _faults(key, node, trust)
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
    raise UserError(
        f"{subject}: its config names classes that are not limner's: {shown}{more}. None of "
        f"them was run. {advice((name for _, name in found), trust=trust)}"
    )


def advice(names: Iterable[str], *, trust: Sequence[str]) -> str:
    """Return the sentence that names the packages to trust for these classes.

    Args:
        names: Names of refused classes.
        trust: Packages that the command trusts already.
    """
    packages = {package for name in names if (package := _askable(name))}
    if not packages - {*trust}:
        return "No command needs them there."
    asked = ",".join(sorted({*packages, *trust}))
    return f"If they are your own: trust=[{asked}]. That runs their code."


def _faults(key: str, node: Mapping[str, Any], trust: Sequence[str]) -> list[tuple[str, str]]:
    """Return (dotted key, value) of what may not be built in one node."""
    name = node["_target_"]
    kind = allowed(name, key, trust=trust)
    if kind is None:
        return [(key, str(name))]
    if lies_in(kind.__module__, trust):
        return []
    found = []
    if bool(node.get("_partial_", False)) is not role_of(key).is_factory(kind):
        found.append((f"{key}._partial_", str(node.get("_partial_", False))))
    if key == "trainer":
        odd = [k for k in node if k in NO_STRANGERS or not _is_scalar(node[k])]
        found += [(f"{key}.{k}", str(node[k])) for k in odd]
    return found


def _askable(name: str) -> str | None:
    """Return the package of a class if it may be the user's own package, else None."""
    package, dot, _ = name.partition(".")
    known = package in sys.stdlib_module_names or package in NEVER_ASKED
    return None if known or not dot or not package.isidentifier() else package


def _is_scalar(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_scalar(item) and not isinstance(item, list) for item in value)
    return value is None or isinstance(value, str | int | float)
