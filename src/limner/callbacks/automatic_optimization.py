"""Gradients that add up over parts of a batch, for models that Lightning optimizes."""

__all__ = ["InParts"]

from collections import OrderedDict
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loops.optimization.automatic import (
    Closure,
    ClosureResult,
    _AutomaticOptimization,
)
from lightning.pytorch.loops.utilities import _block_parallel_sync_behavior
from torch import Tensor
from torch.optim import Optimizer

from limner.interfaces import Batch
from limner.randomness import Noise


class InParts(_AutomaticOptimization):
    """Goes through each batch in equal parts, and takes one step on the mean of their gradients.

    Lightning's own accumulation goes over several batches; here a batch is an update, whose images
    and random numbers do not depend on how they go through the network.

    Args:
        trainer: Whose epoch loop it becomes a part of.
        num_parts: At least 1.
    """

    def __init__(self, trainer: L.Trainer, *, num_parts: int) -> None:
        super().__init__(trainer)
        self.num_parts = num_parts

    def _make_closure(self, kwargs: OrderedDict, optimizer: Optimizer, batch_idx: int) -> Closure:
        zero_grad = self._make_zero_grad_fn(batch_idx, optimizer)
        backward = self._make_backward_fn(optimizer)

        def step() -> ClosureResult:
            zero_grad()
            done = []
            for i, part in enumerate(_cut(kwargs["batch"], self.num_parts)):
                self._begin_part(i)
                is_last = i == self.num_parts - 1
                with _block_parallel_sync_behavior(self.trainer.strategy, block=not is_last):
                    found = self._training_step(OrderedDict(kwargs, batch=part))
                    backward(found.closure_loss / self.num_parts)
                done.append({"loss": found.loss, **found.extra})
            means = {name: _mean([each[name] for each in done]) for name in done[0]}
            return ClosureResult(means.pop("loss"), extra=means)

        return Closure(step_fn=step)

    def _begin_part(self, part: int) -> None:
        if isinstance(noise := getattr(self.trainer.lightning_module, "noise", None), Noise):
            noise.begin_part(part, num_parts=self.num_parts)


def _cut(batch: Batch, num_parts: int) -> list[dict[str, Any]]:
    columns = {name: values.chunk(num_parts) for name, values in batch.items()}
    return [{name: parts[i] for name, parts in columns.items()} for i in range(num_parts)]


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack([value.detach() for value in values]).mean()
