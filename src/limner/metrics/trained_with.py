"""Scores by the network that trained the model, which are better than the images deserve."""

__all__ = ["ADVICE", "trained_with"]

from collections.abc import Mapping
from typing import Any

from torch import nn

ADVICE = (
    "The network of %s trained this model, so its scores are too good.\n"
    "Compare models by another network: metrics=classifier or metrics=inception."
)
"""Warning, with a place for the option of `metrics` that scores the model."""


def trained_with(model: nn.Module, protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of a protocol which states that the feature network trained the model.

    A part of a model that learns from a pretrained network states `weights_sha256`.

    Args:
        model: The scored model.
        protocol: Protocol of the feature network.

    Returns:
        {"trained_with_this_network": True}, or {} if the model does not use the network. A score
        with this entry is compared only with scores that have it too.
    """
    used = {getattr(part, "weights_sha256", None) for part in model.modules()} - {None}
    return {"trained_with_this_network": True} if protocol.get("weights_sha256") in used else {}
