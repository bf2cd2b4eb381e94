"""Convolutional LSTM of Shi et al. (2015), https://arxiv.org/abs/1506.04214.

    i, f, g, o = K * [x, h] + b                      one convolution K makes all four maps
    c' = sigmoid(f) c + sigmoid(i) tanh(g)
    h' = sigmoid(o) tanh(c')

This is equation 3 of the paper without its peepholes, the products of i, f and o with c: their
weights would bind the network to one size of frames.
"""

__all__ = ["ConvLSTMCell", "State"]

import torch
from torch import Tensor, nn

FORGET_BIAS = 1.0  # first bias of f, so that a new cell keeps most of its memory

State = tuple[Tensor, Tensor]
"""Hidden map h and memory c of a cell, each (B, channels, H, W)."""


class ConvLSTMCell(nn.Module):
    """Cell that reads maps (B, in_channels, H, W) of any size, one at each step in time.

    Args:
        in_channels: Number of channels of a map that the cell reads.
        channels: Number of channels of the hidden map and of the memory.
        kernel_size: Height and width of the kernel, an odd number.

    Raises:
        ValueError: If the kernel size is even.
    """

    def __init__(self, in_channels: int, channels: int, kernel_size: int) -> None:
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size} of a ConvLSTM: must be odd, 1 or more.")
        super().__init__()
        self.channels = channels
        self.gates = nn.Conv2d(
            in_channels + channels, 4 * channels, kernel_size, padding=kernel_size // 2
        )
        with torch.no_grad():
            self.gates.bias.zero_()
            self.gates.bias[channels : 2 * channels] = FORGET_BIAS

    def forward(self, x: Tensor, state: State | None) -> State:
        """Return the next hidden map and memory.

        Args:
            x: Map (B, in_channels, H, W) of this step.
            state: Hidden map and memory of the step before; None for zeros.
        """
        if state is None:
            zeros = x.new_zeros(len(x), self.channels, *x.shape[2:])
            state = zeros, zeros
        h, c = state
        i, f, g, o = self.gates(torch.cat([x, h.to(x.dtype)], 1)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
