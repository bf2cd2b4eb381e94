"""Configs of models saved by earlier versions, brought up to what the classes take today."""

__all__ = ["brought_up_to_date", "without_gone"]

from collections.abc import Mapping
from typing import Any

ADDED: dict[str, dict[str, Any]] = {
    "limner.models.VAE": {
        "prior": {"_target_": "limner.networks.priors.StandardNormal", "latent_dim": None},
        "objective": {"_target_": "limner.losses.objectives.Elbo", "free_bits": None},
        "kl_schedule": None,
        "num_classes": None,
    },
    "limner.networks.conv.Encoder": {"num_classes": None},
    "limner.networks.conv.Decoder": {"num_classes": None, "params_per_value": 1},
    "limner.networks.mlp.Encoder": {"num_classes": None},
    "limner.networks.mlp.Decoder": {"num_classes": None, "params_per_value": 1},
}
"""Class to arguments that it once did without, and the values by which it does as it did then."""
GONE = {"limner.models.VAE": {"auxiliary"}, "limner.models.CodePrior": {"auxiliary"}}
"""Class to arguments that it once took, and which were always null."""


def brought_up_to_date(node: Any) -> Any:
    """The plain data of a saved config, with arguments that it lacks, without those gone since."""
    return _changed(node, ADDED)


def without_gone(node: Any) -> Any:
    """The plain data of a saved config without arguments that are gone since."""
    return _changed(node, {})


def _changed(node: Any, added: Mapping[str, Mapping[str, Any]]) -> Any:
    if isinstance(node, list):
        return [_changed(item, added) for item in node]
    if not isinstance(node, Mapping):
        return node
    target = str(node.get("_target_"))
    gone = GONE.get(target, set())
    kept = {key: _changed(value, added) for key, value in node.items() if key not in gone}
    return {**added.get(target, {}), **kept}
