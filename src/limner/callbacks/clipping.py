"""Gradient clipping for a user's own model that Lightning optimizes."""

__all__ = ["Clipping"]

import lightning as L
from torch import nn
from torch.optim import Optimizer


class Clipping(L.Callback):
    """A callback that scales the gradient of each step down to a norm, where it is longer.

    Lightning's own clipping refuses fused optimizers under bf16-mixed, because of a loss scaling
    that bf16-mixed does not have.

    Args:
        max_norm: Largest Euclidean norm of all gradients together, above 0.
    """

    def __init__(self, max_norm: float) -> None:
        self.max_norm = max_norm

    def on_before_optimizer_step(
        self, trainer: L.Trainer, model: L.LightningModule, optimizer: Optimizer
    ) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, self.max_norm)
