"""Configs of models saved by earlier versions, brought up to what the classes take today."""

__all__ = ["brought_up_to_date"]

from collections.abc import Mapping
from typing import Any

ADDED: dict[str, dict[str, Any]] = {
    "limner.models.VAE": {
        "prior": {"_target_": "limner.networks.priors.StandardNormal", "latent_dim": None},
        "objective": {"_target_": "limner.losses.objectives.Elbo", "free_bits": None},
        "kl_schedule": None,
        "num_classes": None,
        "auxiliary": None,
    },
    "limner.networks.conv.Encoder": {"num_classes": None},
    "limner.networks.conv.Decoder": {"num_classes": None, "params_per_value": 1},
    "limner.networks.mlp.Encoder": {"num_classes": None},
    "limner.networks.mlp.Decoder": {"num_classes": None, "params_per_value": 1},
}
"""Class to arguments that it once did without, and the values by which it does as it did then."""


def brought_up_to_date(node: Any) -> Any:
    """The plain data of a saved config, with arguments that it lacks."""
    if isinstance(node, list):
        return [brought_up_to_date(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    target = node.get("_target_")
    added = ADDED.get(target, {}) if isinstance(target, str) else {}
    return added | {key: brought_up_to_date(value) for key, value in node.items()}
