import pytest
import torch
from torch import Tensor

from limner.networks.conv_lstm import ConvLSTM, ConvLSTMCell


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


def predictor(**changes) -> ConvLSTM:
    torch.manual_seed(0)
    return ConvLSTM(**{
        "image_shape": (3, 8, 8), "width": 4, "num_layers": 2, "kernel_size": 3, "patch": 2,
        "predicts_inputs": False,
    } | changes)  # fmt: skip


def frames(number: int, size: tuple[int, int] = (8, 8)) -> Tensor:
    return torch.rand(2, number, 3, *size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_feeding_back_equals_teacher_forcing_on_its_own_outputs() -> None:
    network, inputs = predictor(), frames(3)
    free = network(inputs, 4)
    own = torch.tanh(free / 2)
    forced = network(inputs, 4, own, torch.ones(2, 3, dtype=bool))
    torch.testing.assert_close(forced, free)
    other = network(inputs, 4, -own, torch.ones(2, 3, dtype=bool))
    assert torch.equal(other[:, 0], free[:, 0])
    assert not torch.allclose(other[:, 1], free[:, 1])


def test_scheduled_sampling_chooses_for_each_sequence_and_step() -> None:
    network, inputs, truth = predictor(), frames(3), frames(3)
    reads = torch.tensor([[True, False], [False, False]])
    mixed, free = network(inputs, 3, truth, reads), network(inputs, 3)
    assert torch.equal(mixed[1], free[1])
    torch.testing.assert_close(mixed[0, 0], free[0, 0])
    assert not torch.allclose(mixed[0, 1], free[0, 1])


def test_prediction_does_not_depend_on_the_number_of_steps_after_it() -> None:
    network, inputs = predictor(), frames(3)
    torch.testing.assert_close(network(inputs, 5)[:, :2], network(inputs, 2))


def test_prediction_of_the_inputs_stands_before_the_targets_in_training_only() -> None:
    network, inputs = predictor(predicts_inputs=True), frames(4)
    found = network(inputs, 2)
    assert found.shape == (2, 5, 3, 8, 8)
    torch.testing.assert_close(found[:, 3:], network.eval()(inputs, 2))
    torch.testing.assert_close(found[:, 1:2], network(inputs[:, :2], 1))


def test_network_predicts_frames_of_any_size() -> None:
    network = predictor(patch=4)
    assert network(frames(2, (7, 10)), 2).shape == (2, 2, 3, 7, 10)


def test_every_weight_of_the_network_has_a_gradient() -> None:
    network = predictor()
    network(frames(3), 2).sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in network.parameters())


def test_logits_are_float32_under_mixed_precision() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert predictor()(frames(3), 2).dtype == torch.float32


def test_conv_lstm_refuses_no_layers() -> None:
    with pytest.raises(ValueError, match=r"num_layers=0"):
        predictor(num_layers=0)


def _rows(maps: Tensor) -> Tensor:
    """Return maps (B, C, H, W) as rows (B * H * W, C)."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)
