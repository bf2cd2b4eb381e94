"""Batch norm's statistics for sampling: of many batches of one set of weights."""

__all__ = ["Standing"]

import copy
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class Standing:
    """Standing statistics, Brock et al. (2019), appendix D, https://arxiv.org/abs/1809.11096.

    Mean and variance of every batch norm are the plain averages over a number of batches that the
    weights at hand make of fresh codes, instead of the running averages of training, which mix
    those of earlier weights. They are found in a copy, which is no part of any checkpoint.

    Args:
        num_batches: At least 1.
    """

    def __init__(self, num_batches: int) -> None:
        if num_batches < 1:
            raise ValueError(
                f"model.num_standing_batches={num_batches}: 1 or more; null for the running "
                "averages of training."
            )
        self.num_batches = num_batches
        self._made: tuple[int, nn.Module] | None = None

    def of(
        self, network: nn.Module, *, update: int, draw: Callable[[nn.Module, int], object]
    ) -> nn.Module:
        """The network in evaluation mode with these statistics.

        Args:
            network: The generator.
            update: Of its weights; the copy is made anew for another one.
            draw: Has the network make images of the batch of a number, counted from 0.
        """
        if self._made is None or self._made[0] != update:
            self._made = update, self._averaged(network, draw)
        return self._made[1]

    @torch.no_grad()
    def _averaged(self, network: nn.Module, draw: Callable[[nn.Module, int], object]) -> nn.Module:
        made = copy.deepcopy(network).train()
        for module in made.modules():
            if isinstance(module, _BatchNorm):
                module.reset_running_stats()
                module.momentum = None  # torch's word for the plain average
        for batch in range(self.num_batches):
            draw(made, batch)
        return made.eval()
