"""Gradient clipping for models with Lightning's automatic optimization."""

__all__ = ["Clipping"]

import lightning as L
from torch import nn
from torch.optim import Optimizer


class Clipping(L.Callback):
    """Callback that scales down the gradient of a step if its norm exceeds a maximum.

    Lightning's own clipping refuses fused optimizers under bf16-mixed because of loss scaling,
    although bf16-mixed does not scale the loss.

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
