"""The keys of the group `network` that a model reads.

An option such as `network=mlp` offers parts for every model family: an encoder, a decoder, a
generator, a discriminator, a classifier. A model reads the parts that it needs as
`${network.encoder}`, and the others do nothing. A key that is set on the command line and does
nothing is a mistake.
"""

__all__ = ["refuse_unread_network", "unread"]

import re
from collections.abc import Iterator, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from limner.errors import UserError

GROUP = "network"


def refuse_unread_network(config: DictConfig, overrides: Sequence[str]) -> None:
    """Raise UserError for an override of a network key that the model does not read.

    Args:
        config: The composed config, unresolved.
        overrides: Overrides of the command line, such as `network.encoder.width=16`.
    """
    set_keys = [word.partition("=")[0].lstrip("+~") for word in overrides]
    wrong = unread(config, [key for key in set_keys if key.startswith(f"{GROUP}.")])
    if wrong:
        parts = sorted({".".join(key.split(".")[:2]) for key in _read(config)})
        raise UserError(
            f"{wrong[0]}: the chosen model does not read this key, so it would do nothing. "
            f"The model reads: {', '.join(parts) or 'no network'}"
        )


def unread(config: DictConfig, keys: Sequence[str]) -> list[str]:
    """Return the dotted `keys` below `network` that nothing in the config reads."""
    read = _read(config)
    return [
        key
        for key in keys
        if not any(f"{key}.".startswith(f"{name}.") or name.startswith(f"{key}.") for name in read)
    ]


def _read(config: DictConfig) -> set[str]:
    """Return the keys below `network` that are read from outside, or by a part that is read.

    Reads are followed through any number of parts.
    """
    plain = OmegaConf.to_container(config)
    outside = {key: value for key, value in plain.items() if key != GROUP}
    found: set[str] = set()
    new = _references(outside)
    while new:
        found |= new
        nodes = [OmegaConf.select(config, key, throw_on_missing=False) for key in new]
        nodes = [OmegaConf.to_container(node) for node in nodes if OmegaConf.is_config(node)]
        new = _references(nodes) - found
    return found


def _references(node: Any) -> set[str]:
    return {
        key
        for text in _texts(node)
        for key in re.findall(r"\$\{([\w.]+)\}", text)
        if key.startswith(f"{GROUP}.")
    }


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)
