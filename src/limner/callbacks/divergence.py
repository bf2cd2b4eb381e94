"""Says which loss, or which weight, stopped being a number."""

__all__ = ["check_finite", "check_weights"]

import math
from collections.abc import Mapping

import torch
from lightning.pytorch.strategies import Strategy
from torch import nn

from limner.errors import UserError

ADVICE = (
    "Training has diverged; the checkpoints written before this are whole.\n"
    "Try a smaller learning rate (optimizer.lr=...), or model/penalty=gradient for a GAN."
)


def check_finite(values: Mapping[str, float], update: int, strategy: Strategy) -> None:
    """Raises `UserError`, in every process at once, that names a value which is not finite."""
    wrong = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
    if not strategy.reduce_boolean_decision(not wrong, all=True):
        what = wrong[0] if wrong else "A loss of another process is not finite"
        raise UserError(f"{what} at update {update}. {ADVICE}")


def check_weights(model: nn.Module, update: int) -> None:
    """Raises `UserError` that names the first parameter which is not finite."""
    parameters = dict(model.named_parameters())
    norms = torch.stack(torch._foreach_norm(list(parameters.values())))
    for name, finite in zip(parameters, norms.isfinite().tolist(), strict=True):
        if not finite:
            raise UserError(f"The weights {name} are not finite after update {update}. {ADVICE}")
