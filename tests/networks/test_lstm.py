"""One step of an LSTM against the cell of PyTorch."""

import torch

from limner.networks.lstm import LSTM


def test_lstm_step_equals_the_cell_of_pytorch():
    cell, reference = LSTM(5, 4), torch.nn.LSTMCell(5, 4)
    order = [0, 1, 3, 2]  # PyTorch has the gates i, f, g, o; limner i, f, o, g
    weights = torch.cat([reference.weight_ih, reference.weight_hh], dim=1)
    with torch.no_grad():
        cell.gates.weight.copy_(weights.view(4, 4, 9)[order].flatten(0, 1))
        bias = reference.bias_ih + reference.bias_hh
        cell.gates.bias.copy_(bias.view(4, 4)[order].flatten())
    x, state = torch.randn(3, 5), (torch.randn(3, 4), torch.randn(3, 4))
    for found, expected in zip(
        cell([x[:, :2], x[:, 2:]], state), reference(x, state), strict=True
    ):
        assert torch.allclose(found, expected, atol=1e-6)


def test_new_lstm_remembers():
    cell = LSTM(2, 64)
    _, kept = cell([torch.zeros(1, 2)], (torch.zeros(1, 64), torch.ones(1, 64)))
    assert kept.mean() > 0.65, "sigmoid(1) is 0.73, sigmoid(0) 0.5"
