"""Gradient accumulation for a model from outside limner that Lightning optimizes.

tests/callbacks/test_automatic_optimization.py fails if Lightning changes this code.
"""

__all__ = ["GradientAccumulation"]

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


class GradientAccumulation(_AutomaticOptimization):
    """One optimizer step on the mean gradient of a batch's micro-batches.

    Lightning's own accumulation sums over several batches, and Lightning refuses it for limner's
    models. In limner a batch is one update. Its images and random numbers do not depend on the
    number of micro-batches (tests/callbacks/test_gradient_accumulation.py).

    Args:
        trainer: Trainer whose epoch loop contains this object.
        accumulate: Number of micro-batches of equal size, at least 1.
    """

    def __init__(self, trainer: L.Trainer, *, accumulate: int) -> None:
        super().__init__(trainer)
        self.accumulate = accumulate

    def _make_closure(self, kwargs: OrderedDict, optimizer: Optimizer, batch_idx: int) -> Closure:
        zero_grad = self._make_zero_grad_fn(batch_idx, optimizer)
        backward = self._make_backward_fn(optimizer)

        def step() -> ClosureResult:
            zero_grad()
            done = []
            for i, micro_batch in enumerate(_cut(kwargs["batch"], self.accumulate)):
                self._begin(i)
                is_last = i == self.accumulate - 1
                with _block_parallel_sync_behavior(self.trainer.strategy, block=not is_last):
                    found = self._training_step(OrderedDict(kwargs, batch=micro_batch))
                    backward(found.closure_loss / self.accumulate)
                done.append({"loss": found.loss, **found.extra})
            means = {name: _mean([each[name] for each in done]) for name in done[0]}
            return ClosureResult(means.pop("loss"), extra=means)

        return Closure(step_fn=step)

    def _begin(self, micro_batch: int) -> None:
        if isinstance(noise := getattr(self.trainer.lightning_module, "noise", None), Noise):
            noise.begin_part(micro_batch, num_parts=self.accumulate)


def _cut(batch: Batch, number: int) -> list[dict[str, Any]]:
    """Cut every column (B, ...) of a batch into `number` equal parts, in order."""
    columns = {name: values.chunk(number) for name, values in batch.items()}
    return [{name: parts[i] for name, parts in columns.items()} for i in range(number)]


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack([value.detach() for value in values]).mean()
