"""Equalised learning rate: unit variance at the start, and equal relative speed."""

import pytest
import torch

from limner.networks.equalised import EqualisedConv2d, EqualisedLinear, activated, unit_length


@pytest.mark.parametrize("multiplier", [1.0, 0.01])
def test_outputs_have_the_variance_of_inputs_at_the_start(multiplier):
    x = torch.randn(64, 300)
    assert EqualisedLinear(300, 200, multiplier=multiplier)(x).std().item() == pytest.approx(
        1, rel=0.05
    )
    maps = torch.randn(8, 40, 12, 12)
    h = EqualisedConv2d(40, 60, 3)(maps)
    assert h.shape == (8, 60, 12, 12)
    assert h[..., 1:-1, 1:-1].std().item() == pytest.approx(1, rel=0.05)
    assert EqualisedConv2d(40, 60, 3, stride=2)(maps[..., 1:, 1:]).shape == (8, 60, 5, 5)


def test_multiplier_scales_the_steps_of_adam():
    """Weights of all sizes move by the learning rate; the layer moves by multiplier times it."""
    changes = []
    for multiplier in (1.0, 0.01):
        layer = EqualisedLinear(50, 20, multiplier=multiplier, bias=1.0)
        x = torch.ones(1, 50)
        before = layer.scaled_weight.detach().clone(), layer(torch.zeros_like(x)).detach()
        assert (before[1] == 1).all()
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
        layer(x).sum().backward()
        optimizer.step()
        after = layer.scaled_weight.detach(), layer(torch.zeros_like(x)).detach()
        changes.append([(a - b).abs().mean().item() for a, b in zip(after, before, strict=True)])
    for slow, fast in zip(changes[1], changes[0], strict=True):
        assert slow == pytest.approx(0.01 * fast, rel=1e-2)


def test_activation_keeps_the_mean_square():
    x = torch.randn(100_000)
    assert activated(x).square().mean().item() == pytest.approx(2 * (1 + 0.04) / 2, rel=0.02)


def test_unit_length_does_not_depend_on_the_length():
    z = torch.randn(5, 40)
    torch.testing.assert_close(unit_length(z).square().mean(1), torch.ones(5))
    torch.testing.assert_close(unit_length(7 * z), unit_length(z))
    assert not unit_length(torch.zeros(1, 3)).any()
