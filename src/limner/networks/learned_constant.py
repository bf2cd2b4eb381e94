"""What a network begins with that has nothing to begin with: a learned tensor."""

__all__ = ["Start"]

import math
from collections.abc import Sequence

from torch import Tensor, nn

from limner.networks.conditions import check_classes


class Start(nn.Module):
    """The same learned numbers for every sample, or those of its class.

    Args:
        shape: Of the numbers of a sample.
        num_classes: How many classes there are; None without.
        std: Standard deviation of the numbers before training.
    """

    def __init__(self, shape: Sequence[int], *, num_classes: int | None, std: float) -> None:
        super().__init__()
        check_classes(num_classes)
        self.shape, self.num_classes = tuple(shape), num_classes
        rows = 1 if num_classes is None else num_classes
        self.rows = nn.Embedding(rows, math.prod(shape))
        nn.init.normal_(self.rows.weight, std=std)

    def forward(self, num_samples: int, labels: Tensor | None) -> Tensor:
        """(num_samples, *shape), of labels int64 (num_samples,) where there are classes."""
        if self.num_classes is None:
            return self.rows.weight.expand(num_samples, -1).unflatten(1, self.shape)
        if labels is None:
            raise ValueError(
                "A conditional network was given no labels; network.num_classes=null "
                "(model/condition=none) makes one that needs none."
            )
        return self.rows(labels).unflatten(1, self.shape)
