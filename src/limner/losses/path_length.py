"""Path length regularisation of a generator that paints images of styles."""

__all__ = ["PathLength"]

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


class PathLength(nn.Module):
    """(| J^T y |_2 - a)^2  with  J = d paint(w) / dw,  y ~ N(0, I) / sqrt(H W).

    Karras et al. (2020), section 3.2 and equation 4, https://arxiv.org/abs/1912.04958. A step of
    fixed size in w should change the image by a fixed amount, whatever w and the direction. a is
    the moving average of the lengths | J^T y | of earlier steps. After t steps, it is updated by
    a <- c a + (1 - c) mean, c = min(1 - decay, t / (t + 1)), so that the average of the first
    steps is the plain mean. The first step has no average yet: its penalty is 0, so that several
    processes train like one. J^T y is a gradient, so the penalty needs a gradient of a gradient.
    Written from the paper.

    Args:
        decay: Share of a new mean in the average, in (0, 1]; 0.01 in the paper.
        shrink: Divisor of the number of images, at least 1, to save time and memory; the first
            images of a batch are used. 2 in the paper.
    """

    of_generator = True

    def __init__(self, *, decay: float, shrink: int) -> None:
        if not 0 < decay <= 1:
            raise ValueError(
                f"model.penalty.path_length.function.decay={decay}: must be in (0, 1]."
            )
        if shrink < 1:
            raise ValueError(
                f"model.penalty.path_length.function.shrink={shrink}: must be 1 or more."
            )
        super().__init__()
        self.decay, self.shrink = decay, shrink
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("num_steps", torch.zeros(()))

    def forward(
        self, paint: Callable[[Tensor], Tensor], w: Tensor, normal: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the penalty (B,), and the lengths (B,) without gradient for `observe`.

        Args:
            paint: Function from styles to images (B, C, H, W).
            w: Styles (B, style_dim) that require a gradient.
            normal: Numbers (B, C, H, W) from N(0, 1).
        """
        y = normal / math.sqrt(normal.shape[2] * normal.shape[3])
        (product,) = torch.autograd.grad((paint(w).float() * y).sum(), w, create_graph=True)
        lengths = product.float().square().sum(1).sqrt()
        own = lengths.detach()
        average = torch.where(self.num_steps == 0, own, self.mean)
        return (lengths - average).square(), own

    @torch.no_grad()
    def observe(self, lengths: Tensor) -> None:
        """Update the average by the lengths (N,) of a step, of all processes."""
        share = (1 / (self.num_steps + 1)).clamp(min=self.decay)
        self.mean.lerp_(lengths.mean().to(self.mean), share)
        self.num_steps += 1
