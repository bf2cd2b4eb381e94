"""Checks for divergence, which name the loss, logit or weight that diverged."""

__all__ = ["MAX_LOGIT", "check_values", "check_weights"]

import math
from collections.abc import Mapping

import torch
from lightning.pytorch.strategies import Strategy
from torch import nn

from limner.errors import Diverged

MAX_LOGIT = 1e5
"""Magnitude of a batch's mean logit above which training has diverged.

The logits of a discriminator that a generator can still deceive are tens at most, and the outputs
of a Wasserstein critic thousands at most. Above about this magnitude, rounding in float32 exceeds
the gradients of a player, long before a value is infinite.
"""
ADVICE = (
    "Training has diverged; the checkpoints written before this are whole.\n"
    "Try a smaller learning rate (optimizer.lr=...), or model/penalty=gradient for a GAN; or "
    "on_divergence=rollback, which goes back to the last checkpoint with other random numbers."
)


def check_values(values: Mapping[str, float], update: int, strategy: Strategy) -> None:
    """Raise `Diverged` in every process if a value of any process has diverged.

    The error names the first diverged value of its own process, if there is one.

    Args:
        values: Values of an update by log key.
        update: Number of the update.
        strategy: Lightning strategy by which the processes agree.
    """
    wrong = [f"{name} is {value:.4g}" for name, value in values.items() if _ran_away(name, value)]
    if not strategy.reduce_boolean_decision(not wrong, all=True):
        what = wrong[0] if wrong else "A loss of another process has diverged"
        raise Diverged(what, update=update, advice=ADVICE)


def check_weights(model: nn.Module, update: int) -> None:
    """Raise `Diverged` if a parameter is not finite; the error names the first such parameter."""
    parameters = dict(model.named_parameters())
    norms = torch.stack(torch._foreach_norm(list(parameters.values())))
    for name, finite in zip(parameters, norms.isfinite().tolist(), strict=True):
        if not finite:
            what = f"The weights {name} are not finite"
            raise Diverged(what, update=update, advice=ADVICE)


def _ran_away(name: str, value: float) -> bool:
    if not math.isfinite(value):
        return True
    return name.startswith("train/logits") and abs(value) > MAX_LOGIT
