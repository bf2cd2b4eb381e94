"""One step of one optimizer: gradient accumulation and clipping.

Every model of limner sets `automatic_optimization = False` and steps with this module.
"""

__all__ = ["OptimizerStep", "micro_batches"]

from collections.abc import Mapping

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from limner.losses.diagnostics import gradient_norm
from limner.models.gradients import Gradients
from limner.models.lightning_internals import backward


class OptimizerStep:
    """One optimizer step on the mean loss of all micro-batches.

        step = OptimizerStep(self, optimizer, self.gradients)
        for images, labels in micro_batches(self.gradients, batch["image"], batch["label"]):
            step.backward(loss, {"loss": loss})
        values = step.finish()

    Accumulation gives the same step as the whole batch, up to rounding. Two exceptions: batch norm
    uses the statistics of each micro-batch, and spectral norm does one power iteration per
    micro-batch. Several processes exchange their gradients once, with the last micro-batch.

    Args:
        model: Model in its `training_step`.
        optimizer: torch's own optimizer, without Lightning's wrapper.
        gradients: Options of gradient accumulation and clipping.
    """

    def __init__(
        self, model: L.LightningModule, optimizer: Optimizer, gradients: Gradients
    ) -> None:
        self.model, self.optimizer, self.gradients = model, optimizer, gradients
        self._values: list[dict[str, Tensor]] = []
        self._weights = [w for group in optimizer.param_groups for w in group["params"]]
        for weight in self._weights:  # as `optimizer.zero_grad`, in a tenth of its time
            weight.grad = None

    def backward(self, loss: Tensor, values: Mapping[str, Tensor]) -> None:
        """Add the gradients of a micro-batch.

        Args:
            loss: Loss (), averaged over the micro-batch.
            values: Values to log, each ().
        """
        self._values.append({name: value.detach() for name, value in values.items()})
        number = self.gradients.accumulate
        share = loss if number == 1 else loss / number
        if len(self._values) < self.gradients.accumulate:
            share.backward()
        else:
            backward(self.model, share, self._weights)

    def finish(self, *, norm_name: str | None = None) -> dict[str, Tensor]:
        """Clip the gradient, take the step, and return the mean of each value.

        Args:
            norm_name: Name under which the gradient norm before clipping is returned too; None to
                leave out the norm.
        """
        norms = {}
        if norm_name is not None or self.gradients.max_norm is not None:
            norm = gradient_norm(self._weights)
            norms = {} if norm_name is None else {norm_name: norm}
            if self.gradients.max_norm is not None:
                nn.utils.clip_grads_with_norm_(self._weights, self.gradients.max_norm, norm)
        self.optimizer.step()
        first, *others = self._values
        if others:
            first = {name: torch.stack([v[name] for v in self._values]).mean() for name in first}
        return first | norms


def micro_batches(
    gradients: Gradients, *columns: Tensor | None
) -> list[tuple[Tensor | None, ...]]:
    """Cut tensors (B, ...) into equal parts, in order; None stays None in every part."""
    number = gradients.accumulate
    cut = [[None] * number if column is None else column.chunk(number) for column in columns]
    return list(zip(*cut, strict=True))
