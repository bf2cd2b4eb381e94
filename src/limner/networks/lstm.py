"""Long short-term memory for one step of a sequence.

    i, f, o = sigmoid(W [x, h] + b)        g = tanh(W' [x, h] + b')
    c' = f c + i g                         h' = o tanh(c')

Hochreiter and Schmidhuber (1997), with the forget gate of Gers et al. (2000).
"""

__all__ = ["LSTM", "State"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]
"""Hidden state h and cell c, each (B, hidden_size)."""


class LSTM(nn.Module):
    """One step of an LSTM; one product computes all gates.

    Args:
        num_inputs: Size of the input x.
        hidden_size: Number of units.
    """

    def __init__(self, num_inputs: int, hidden_size: int) -> None:
        super().__init__()
        self.gates = nn.Linear(num_inputs + hidden_size, 4 * hidden_size)
        self.hidden_size = hidden_size
        with torch.no_grad():  # forget little at first
            self.gates.bias[hidden_size : 2 * hidden_size] += 1

    def forward(self, inputs: Sequence[Tensor], state: State) -> State:
        """Return the next state, given the parts (B, ...) of the input x."""
        hidden, cell = state
        # in float32 also under autocast: products of two precisions are slow on a CPU
        gates = self.gates(torch.cat([*inputs, hidden], dim=1)).float()
        sizes = 3 * self.hidden_size, self.hidden_size
        sigmoids, proposal = gates.split(sizes, dim=1)
        enter, keep, show = sigmoids.sigmoid().chunk(3, dim=1)
        cell = keep * cell + enter * proposal.tanh()
        return show * cell.tanh(), cell
