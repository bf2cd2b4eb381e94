"""Convolutional LSTM of Shi et al. (2015), https://arxiv.org/abs/1506.04214.

The cell:

    i, f, g, o = K * [x, h] + b                      one convolution K makes all four maps
    c' = sigmoid(f) c + sigmoid(i) tanh(g)
    h' = sigmoid(o) tanh(c')

This is equation 3 of the paper without its peepholes, the products of i, f and o with c: their
weights would bind the network to one size of frames.

The predictor is a stack of cells that reads one frame at a step and predicts the next frame. Where
the known frames end, it reads its own predictions:

    h_1 = cell_1(fold(x_t)),  h_2 = cell_2(h_1), ...
    logits of x_{t+1} = unfold(1x1([h_1, h_2, ...]))

Folding puts a square of pixels into the channels of one place (space to depth).
"""

__all__ = ["ConvLSTM", "ConvLSTMCell", "State"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from limner.networks.doubling import mirrored

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
        if state is None:  # the memory adds up many steps, too many for bfloat16
            dtype = torch.promote_types(x.dtype, torch.float32)
            zeros = x.new_zeros(x.shape[0], self.channels, *x.shape[2:], dtype=dtype)
            state = zeros.to(x.dtype), zeros
        h, c = state
        i, f, g, o = self.gates(torch.cat([x.to(h.dtype), h], 1)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh().to(o.dtype), c


class ConvLSTM(nn.Module):
    """Network that predicts frames of any size from earlier frames, one after the other.

    A logit l stands for the value tanh(l / 2) of a pixel, in (-1, 1).

    Args:
        image_shape: Shape (C, H, W) of a frame; only C matters.
        width: Number of channels of the hidden map of each cell.
        num_layers: Number of cells on top of each other, at least 1.
        kernel_size: Height and width of the kernels of the cells, an odd number.
        patch: Height and width of the square of pixels that is folded into channels.
        predicts_inputs: Whether training learns to predict the input frames too, from the second.
    """

    scale = 1
    """Height of a predicted frame divided by the height of an input frame."""
    feeds_back = True
    """Whether the network reads its own predictions, so that it can read true frames instead."""

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        width: int,
        num_layers: int,
        kernel_size: int,
        patch: int,
        predicts_inputs: bool,
    ) -> None:
        if num_layers < 1:
            raise ValueError(f"network.predictor.num_layers={num_layers}: must be 1 or more.")
        super().__init__()
        self.patch, self.predicts_inputs = patch, predicts_inputs
        folded = image_shape[0] * patch**2
        self.cells = nn.ModuleList(
            ConvLSTMCell(folded if i == 0 else width, width, kernel_size)
            for i in range(num_layers)
        )
        self.last = nn.Conv2d(num_layers * width, folded, 1)

    def forward(
        self,
        inputs: Tensor,
        num_targets: int,
        truth: Tensor | None = None,
        reads_truth: Tensor | None = None,
    ) -> Tensor:
        """Return the logits of the predicted frames, (B, num_targets, C, H, W).

        In training with `predicts_inputs`, the logits of the inputs from the second on stand
        before them: (B, num_inputs - 1 + num_targets, C, H, W).

        Args:
            inputs: Known frames (B, num_inputs, C, H, W) in [-1, 1].
            num_targets: Number of frames to predict, at least 1.
            truth: True frames (B, num_targets, C, H, W) that follow the inputs; None to read
                predictions only.
            reads_truth: Whether the step after each target reads the true frame instead of the
                prediction, bool (B, num_targets - 1); None for all predictions.
        """
        size, num_inputs = inputs.shape[3:], inputs.shape[1]
        folded = pixel_unshuffle(mirrored(inputs.flatten(0, 1), multiple=self.patch), self.patch)
        known = folded.unflatten(0, (-1, num_inputs)).unbind(1)
        states: list[State | None] = [None] * len(self.cells)
        found: list[Tensor] = []
        for step in range(num_inputs + num_targets - 1):
            if step < num_inputs:
                h = known[step]
            else:
                h = torch.tanh(found[-1].float() / 2).to(inputs.dtype)
                if truth is not None and reads_truth is not None:
                    true = mirrored(truth[:, step - num_inputs], multiple=self.patch)
                    reads = reads_truth[:, step - num_inputs, None, None, None]
                    h = torch.where(reads, pixel_unshuffle(true, self.patch), h)
            hidden = []
            for i, cell in enumerate(self.cells):
                states[i] = cell(h, states[i])
                h = states[i][0]
                hidden.append(h)
            found.append(self.last(torch.cat(hidden, 1)))
        kept = found if self.training and self.predicts_inputs else found[-num_targets:]
        logits = pixel_shuffle(torch.stack(kept, 1), self.patch)
        # losses of logits in bfloat16 would be rounded
        return logits[..., : size[0], : size[1]].to(inputs.dtype)
