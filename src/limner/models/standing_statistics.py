"""Batch norm statistics for sampling, averaged over many batches from fixed weights."""

__all__ = ["StandingStatistics", "make_standing_statistics"]

import copy
from collections.abc import Callable

import torch
from torch import Generator, nn
from torch.nn.modules.batchnorm import _BatchNorm

from limner.randomness import generator_for

BATCH_SIZE = 64  # images per batch
Draw = Callable[[nn.Module, int, Generator], object]
"""Function that generates images by a network; called as draw(network, num_images, generator)."""


class StandingStatistics:
    """Standing statistics of Brock et al. (2019), appendix D, https://arxiv.org/abs/1809.11096.

    Mean and variance of every batch norm are plain averages over batches that the current weights
    generate from new codes. The running averages of training would include earlier weights. The
    averages are in a copy of the network, which no checkpoint contains.

    Args:
        num_batches: Number of batches, at least 1.
    """

    def __init__(self, num_batches: int) -> None:
        if num_batches < 1:
            raise ValueError(
                f"model.num_standing_batches={num_batches}: must be 1 or more, or null for the "
                "running averages of training."
            )
        self.num_batches = num_batches
        self._made: tuple[int, nn.Module] | None = None

    def of(self, network: nn.Module, *, update: int, draw: Draw) -> nn.Module:
        """Return a copy of the network in evaluation mode with standing statistics.

        Args:
            network: Generator of the images.
            update: Number of the update that made the weights. Calls for the same update return
                the same copy.
            draw: Function that generates images by the network.
        """
        if self._made is None or self._made[0] != update:
            self._made = update, self._averaged(network, draw)
        return self._made[1]

    @torch.no_grad()
    def _averaged(self, network: nn.Module, draw: Draw) -> nn.Module:
        made = copy.deepcopy(network).train()
        for module in made.modules():
            if isinstance(module, _BatchNorm):
                module.reset_running_stats()
                module.momentum = None  # makes torch compute the plain average
        for batch in range(self.num_batches):
            draw(made, BATCH_SIZE, generator_for(0, "standing", batch))
        return made.eval()


def make_standing_statistics(num_batches: int | None) -> StandingStatistics | None:
    """Return standing statistics over `num_batches` batches, or None if `num_batches` is None.

    Raises:
        ValueError: For a number below 1.
    """
    return None if num_batches is None else StandingStatistics(num_batches)
