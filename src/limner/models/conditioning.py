"""How a network is told of classes."""

__all__ = ["conditioned"]

from typing import Any

from torch import Tensor, nn


def conditioned(network: nn.Module, x: Tensor, labels: Tensor | None) -> Any:
    """The network's output, of labels (B,) too where there are some; else it need not know any."""
    return network(x) if labels is None else network(x, labels)
