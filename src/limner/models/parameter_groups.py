"""Optimizers with several learning rates, as a network asks for them."""

__all__ = ["grouped_optimizer"]

from torch import nn
from torch.optim import Optimizer

from limner.interfaces import OptimizerFactory


def grouped_optimizer(factory: OptimizerFactory, network: nn.Module) -> Optimizer:
    """Return an optimizer of a network, with the learning rates that the network asks for.

    A network may have a method `parameter_groups`, which returns the groups of its trained weights
    as torch's optimizers take them. The key `lr_factor` of a group multiplies the learning rate of
    the optimizer. Other networks train all their weights at the same rate.
    """
    if not hasattr(network, "parameter_groups"):
        return factory(network.parameters())
    optimizer = factory(network.parameter_groups())
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * group.get("lr_factor", 1.0)
    return optimizer
