"""Refusal of a conditional model with a network that would ignore the classes or texts."""

__all__ = ["refuse_unread_classes"]

import inspect
from collections.abc import Mapping
from typing import Any

import lightning as L
from hydra.utils import get_object
from omegaconf import DictConfig
from torch import nn

from limner.config.build import composed
from limner.errors import UserError
from limner.models import GAN, VAE
from limner.models.conditions import is_conditional
from limner.training.own_parts import ROLES, part_of

INPUTS = {"generator": "z", "discriminator": "images", "encoder": "images", "decoder": "z"}


def refuse_unread_classes(config: DictConfig, model: L.LightningModule) -> None:
    """Raise UserError if a network of a conditional GAN or VAE does not read its labels.

    Args:
        config: Config of the run.
        model: The model built from the config.
    """
    if not isinstance(model, GAN | VAE) or not is_conditional(model):
        return
    nodes = composed(config, only="model")["model"]
    num_classes, found = model.num_classes, f"model.num_classes={model.num_classes}"
    if model.reads_text:
        num_classes = model.code_dim
        found = f"model.text.code_dim={num_classes}, which takes the place of classes"
    for role in ROLES:
        if (network := part_of(model, role)) is not None:
            _check(role, network, nodes.get(role), num_classes=num_classes, found=found)


def _check(role: str, network: nn.Module, node: Any, *, num_classes: int, found: str) -> None:
    """Raise UserError for one network, built from a node of the config."""
    key, kind = f"network.{role}", type(network)
    name = f"{kind.__module__}.{kind.__qualname__}"
    why = f"the model is conditional ({found})"
    is_ours = name.startswith("limner.")
    if not is_ours and not _takes(network.forward, "labels"):
        raise UserError(
            f"{key}: {name}.forward does not take `labels`, but\n{why}.\n"
            f"Write `def forward(self, {INPUTS[role]}, labels):`, and in the YAML of the network\n"
            "`num_classes: ${network.num_classes}`; or choose model/condition=none."
        )
    if not isinstance(node, Mapping) or "_target_" not in node:
        return
    if _names(get_object(node["_target_"]), "num_classes"):
        given = node.get("num_classes")
        if given is None or (isinstance(given, int) and given < num_classes):
            got = "no num_classes" if given is None else f"num_classes={given}"
            raise UserError(
                f"{key}: {name} gets {got}, but\n{why}.\n"
                f"Write below {role} in the YAML of the network:\n"
                "num_classes: ${network.num_classes}"
            )
    if is_ours and node.get("condition") == "none":
        raise UserError(
            f"{key}: {name} with condition=none ignores the classes, but\n{why}.\n"
            f"Write below {role} in the YAML of the network:\n"
            f"condition: ${{network.{role}_condition}}"
        )


def _takes(function: Any, name: str) -> bool:
    """Return whether a function takes a keyword argument of this name."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.name == name or p.kind is p.VAR_KEYWORD for p in parameters)


def _names(target: Any, name: str) -> bool:
    """Return whether a signature has a parameter of this name."""
    try:
        return name in inspect.signature(target).parameters
    except (TypeError, ValueError):
        return False
