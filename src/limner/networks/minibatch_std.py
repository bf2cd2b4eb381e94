"""Minibatch standard deviation, Karras et al. (2018), https://arxiv.org/abs/1710.10196."""

__all__ = ["MinibatchStd"]

import torch
from torch import Tensor, nn

EPSILON = 1e-8


class MinibatchStd(nn.Module):
    """Further channel: how much the images of a group differ, so that D sees a lack of variety.

    Section 3 of the paper:

        mean over channels and places of the standard deviation over the group

    A group is `group_size` images that follow each other in the batch. If the batch is no multiple
    of it, the groups have the next smaller size that divides the batch. Groups lie within a
    micro-batch and a process. So several processes, or micro-batches, compute what one process
    does with the whole batch, if their parts are multiples of `group_size`. Written from the
    paper.

    Args:
        group_size: Largest number of images of a group, at least 1; 1 always gives 0.
    """

    def __init__(self, group_size: int) -> None:
        super().__init__()
        if group_size < 1:
            raise ValueError(
                f"network.discriminator.group_size={group_size}: must be 1 or more (images)."
            )
        self.group_size = group_size

    def forward(self, h: Tensor) -> Tensor:
        """Return maps (B, C + 1, h, w) of maps (B, C, h, w)."""
        num = len(h)
        size = next(n for n in range(min(self.group_size, num), 0, -1) if num % n == 0)
        groups = h.float().unflatten(0, (num // size, size))
        variance = groups.var(1, unbiased=False)
        spread = (variance + EPSILON).sqrt().mean((1, 2, 3)).repeat_interleave(size)
        further = spread.to(h)[:, None, None, None].expand(-1, -1, *h.shape[2:])
        return torch.cat([h, further], dim=1)
