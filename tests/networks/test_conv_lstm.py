import pytest
import torch
from torch import Tensor

from limner.networks.conv_lstm import ConvLSTMCell


def test_conv_lstm_cell_equals_an_lstm_cell_at_each_pixel_when_its_kernel_is_one_pixel() -> None:
    torch.manual_seed(0)
    cell = ConvLSTMCell(3, 5, 1)
    pixelwise = torch.nn.LSTMCell(3, 5)
    weights = cell.gates.weight[:, :, 0, 0]
    with torch.no_grad():
        pixelwise.weight_ih.copy_(weights[:, :3])
        pixelwise.weight_hh.copy_(weights[:, 3:])
        pixelwise.bias_ih.copy_(cell.gates.bias)
        pixelwise.bias_hh.zero_()
    state = expected = None
    for x in torch.randn(4, 2, 3, 6, 7):
        state = cell(x, state)
        expected = pixelwise(_rows(x), expected)
        for found, one in zip(state, expected, strict=True):
            torch.testing.assert_close(_rows(found), one)


def test_conv_lstm_cell_sees_as_far_as_its_kernel() -> None:
    cell = ConvLSTMCell(1, 2, 5)
    x = torch.zeros(1, 1, 11, 11, requires_grad=True)
    cell(x, None)[0][0, :, 5, 5].sum().backward()
    rows, columns = x.grad[0, 0].nonzero().unbind(1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 7, 3, 7)


def test_conv_lstm_cell_without_a_state_starts_from_zeros() -> None:
    cell = ConvLSTMCell(1, 2, 3)
    x, zeros = torch.randn(2, 1, 4, 4), torch.zeros(2, 2, 4, 4)
    for found, expected in zip(cell(x, None), cell(x, (zeros, zeros)), strict=True):
        assert torch.equal(found, expected)


def test_conv_lstm_cell_refuses_an_even_kernel() -> None:
    with pytest.raises(ValueError, match="must be odd"):
        ConvLSTMCell(1, 2, 4)


def _rows(maps: Tensor) -> Tensor:
    """Return maps (B, C, H, W) as rows (B * H * W, C)."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)
