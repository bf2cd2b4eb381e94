"""A learned tensor as the input of a network that has no other input."""

__all__ = ["Start"]

import math
from collections.abc import Sequence

from torch import Tensor, nn

from limner.networks.conditions import check_classes, learned_vectors


class Start(nn.Module):
    """Learned tensor, the same for every sample or one for each class.

    Args:
        shape: Shape of the tensor of a sample.
        num_classes: Number of classes; None for an unconditional network.
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
        """Return (num_samples, *shape); with classes, labels are int64 (num_samples,).

        Labels may also be codes float (num_samples, num_classes).
        """
        if self.num_classes is None:
            return self.rows.weight.expand(num_samples, -1).unflatten(1, self.shape)
        return learned_vectors(self.rows, labels).unflatten(1, self.shape)
