"""Says which loss, logit or weight ran away."""

__all__ = ["MAX_LOGIT", "check_values", "check_weights"]

import math
from collections.abc import Mapping

import torch
from lightning.pytorch.strategies import Strategy
from torch import nn

from limner.errors import Diverged

MAX_LOGIT = 1e5
"""The magnitude beyond which a batch's mean logit has run away.

Logits of a discriminator that can be misled at all lie within tens, those of a Wasserstein critic
within thousands. In float32 the gradients of a player drown in rounding from about here on, long
before anything is infinite.
"""
ADVICE = (
    "Training has diverged; the checkpoints written before this are whole.\n"
    "Try a smaller learning rate (optimizer.lr=...), or model/penalty=gradient for a GAN; or "
    "on_divergence=rollback, which goes back to the last checkpoint with other random numbers."
)


def check_values(values: Mapping[str, float], update: int, strategy: Strategy) -> None:
    """Raises `Diverged`, in every process at once, that names the first value which ran away.

    Args:
        values: Those of an update, by their log keys.
        update: Its number.
        strategy: By which the processes agree.
    """
    wrong = [f"{name} is {value:.4g}" for name, value in values.items() if _ran_away(name, value)]
    if not strategy.reduce_boolean_decision(not wrong, all=True):
        what = wrong[0] if wrong else "A loss of another process has run away"
        raise Diverged(what, update=update, advice=ADVICE)


def check_weights(model: nn.Module, update: int) -> None:
    """Raises `Diverged` that names the first parameter which is not finite."""
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
