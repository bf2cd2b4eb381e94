"""Bernoulli negative log-likelihood of pixel values, by the logits of a network.

    -mean_i [t_i log s(l_i) + (1 - t_i) log(1 - s(l_i))],   t = (x + 1) / 2

The loss of Shi et al. (2015), equation 5, https://arxiv.org/abs/1506.04214. It is computed from
the logits l, so that it has a gradient however wrong a prediction is. Its least value is not 0 for
grey values t between 0 and 1.
"""

__all__ = ["BernoulliLoss"]

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


class BernoulliLoss:
    """Mean negative log-likelihood of a pixel value in nats, for a network that returns logits.

    Args:
        weight: Factor of the loss in the model's sum, at least 0.
    """

    reads_logits = True
    """Whether the loss reads the logits of a network instead of its images."""

    def __init__(self, *, weight: float) -> None:
        self.weight = weight

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the losses (B,) of logits (B, C, H, W) and targets of this shape in [-1, 1]."""
        values = binary_cross_entropy_with_logits(output, (target + 1) / 2, reduction="none")
        return values.flatten(1).mean(1)
