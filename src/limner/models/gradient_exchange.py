"""Average the gradients of one optimizer over the processes that train together.

DDP exchanges the gradients of all weights of a model in each backward pass. A backward pass of a
model with several optimizers gives gradients to the weights of one optimizer only. Such a model
calls `average_gradients` instead. So it does not send the other weights, and DDP need not find out
which weights were used.
"""

__all__ = ["average_gradients"]

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, distributed

from limner.processes import world_size

BUCKET = 25 * 2**20
"""Largest number of bytes that are sent at once, as in DDP; a larger weight is sent alone."""


@torch.no_grad()
def average_gradients(weights: Sequence[Tensor]) -> None:
    """Replace each gradient by its mean over all processes; call it after a backward pass.

    As in DDP, a weight without a gradient in some processes counts as a gradient of zeros there. A
    weight without a gradient in all processes keeps None.

    Args:
        weights: Weights of one optimizer, the same in every process.
    """
    sent = []
    for bucket in _buckets(weights):
        flat, views = _flatten(bucket)
        sent.append((distributed.all_reduce(flat, async_op=True), flat, bucket, views))
    for work, flat, bucket, views in sent:
        work.wait()
        used = flat[-len(bucket) :]
        for number, (weight, view) in enumerate(zip(bucket, views, strict=True)):
            if weight.grad is not None or used[number] > 0:
                weight.grad = view


def _buckets(weights: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield the weights in parts of one type, from the last weight to the first."""
    bucket: list[Tensor] = []
    size, kind = 0, None
    for weight in reversed([weight for weight in weights if weight.requires_grad]):
        num_bytes = weight.numel() * weight.element_size()
        own = weight.dtype, weight.device
        if bucket and (own != kind or size + num_bytes > BUCKET):
            yield bucket
            bucket, size = [], 0
        bucket.append(weight)
        size, kind = size + num_bytes, own
    if bucket:
        yield bucket


def _flatten(weights: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Return the gradients divided by the number of processes as one tensor, and views of it.

    The tensor ends with one number for each weight, above 0 if the weight has a gradient.
    """
    sizes = [weight.numel() for weight in weights]
    flat = weights[0].new_empty(sum(sizes) + len(weights))
    *parts, used = flat.split([*sizes, len(weights)])
    views = [_as(weight, part) for weight, part in zip(weights, parts, strict=True)]
    used.fill_(1.0)
    for number, (weight, view) in enumerate(zip(weights, views, strict=True)):
        if weight.grad is None:
            view.zero_()
            used[number].zero_()
        else:
            view.copy_(weight.grad)
    return flat.mul_(1 / world_size()), views


def _as(weight: Tensor, part: Tensor) -> Tensor:
    """Return a part of a flat tensor in the shape and the memory layout of a weight."""
    strides = torch.empty_like(weight, device="meta").stride()  # without gaps
    return part.as_strided(weight.shape, strides, part.storage_offset())
