"""Layers with an equalised learning rate, Karras et al. (2018), section 4.1.

    y = (m / sqrt(fan_in)) W x + m b        W ~ N(0, 1 / m^2), b = 0 at the start

https://arxiv.org/abs/1710.10196. An output has the variance of an input at the start. An optimizer
such as Adam, whose steps do not depend on the size of the gradient, then changes every layer at
the same relative speed: a multiplier m of 0.01 makes a layer 100 times as slow (Karras et al.
(2019), appendix C, https://arxiv.org/abs/1812.04948). Written from the papers.
"""

__all__ = ["EqualisedConv2d", "EqualisedLinear", "activated", "unit_length"]

import math

from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, linear


class EqualisedLinear(nn.Linear):
    """Linear layer from (B, num_inputs) to (B, num_outputs).

    Args:
        num_inputs: Number of inputs.
        num_outputs: Number of outputs.
        multiplier: Factor m of the learning rate, above 0.
        bias: First value of every bias.
    """

    def __init__(
        self, num_inputs: int, num_outputs: int, *, multiplier: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__(num_inputs, num_outputs)
        self.multiplier = multiplier
        nn.init.normal_(self.weight, std=1 / multiplier)
        nn.init.constant_(self.bias, bias / multiplier)

    @property
    def scaled_weight(self) -> Tensor:
        """Weight (num_outputs, num_inputs) that multiplies the inputs."""
        return self.weight * (self.multiplier / math.sqrt(self.in_features))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (B, num_outputs)."""
        return linear(x, self.scaled_weight, self.bias * self.multiplier)


class EqualisedConv2d(nn.Conv2d):
    """Convolution of maps (B, before, h, w).

    Args:
        before: Number of channels of the inputs.
        after: Number of channels of the outputs.
        kernel: Size of the kernel, 1 or 3.
        stride: 1 for outputs of the size of the inputs; 2 for (h - 1) / 2 and (w - 1) / 2 pixels.
        bias: Whether a bias is added.
    """

    def __init__(
        self, before: int, after: int, kernel: int, *, stride: int = 1, bias: bool = True
    ) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(before, after, kernel, stride=stride, padding=padding, bias=bias)
        self.scale = 1 / math.sqrt(before * kernel**2)
        nn.init.normal_(self.weight)
        if bias:
            nn.init.zeros_(self.bias)

    def forward(self, h: Tensor) -> Tensor:
        """Return the maps (B, after, ...)."""
        return conv2d(h, self.weight * self.scale, self.bias, self.stride, self.padding)


def activated(x: Tensor) -> Tensor:
    """Return sqrt(2) * leaky ReLU(x) of slope 0.2.

    The mean square of the output is 1.04 for inputs of N(0, 1).
    """
    return leaky_relu(x, 0.2) * math.sqrt(2)


def unit_length(x: Tensor) -> Tensor:
    """Return vectors (B, D) divided by the root mean square of their numbers."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()
