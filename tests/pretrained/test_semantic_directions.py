"""Directions in closed form, on weights whose answer is known."""

import pytest
import torch

from limner.pretrained.semantic_directions import semantic_directions


def weights():
    return [torch.randn(7, 5), torch.randn(4, 5)]


def test_directions_are_orthonormal_and_their_shares_sum_to_1():
    directions, shares = semantic_directions(weights())
    assert torch.allclose(directions @ directions.T, torch.eye(5).double(), atol=1e-10)
    assert shares.sum().item() == pytest.approx(1)
    assert (shares.diff() <= 0).all()


def test_share_is_the_mean_squared_change_that_a_direction_makes():
    parts = weights()
    rows = torch.nn.functional.normalize(torch.cat(parts).double(), dim=1)
    directions, shares = semantic_directions(parts)
    assert torch.allclose((rows @ directions.T).square().mean(0), shares)
    others = torch.nn.functional.normalize(torch.randn(500, 5).double(), dim=1)
    assert (others @ rows.T).square().mean(1).max() < shares[0], "no other direction changes more"


def test_direction_that_all_layers_read_comes_first_whatever_their_scale():
    axis = torch.nn.functional.normalize(torch.randn(5), dim=0)
    parts = [
        100 * torch.outer(torch.randn(6).abs() + 1, axis),
        0.01 * torch.outer(torch.ones(3), axis),
    ]
    directions, shares = semantic_directions(parts)
    assert shares[0].item() == pytest.approx(1)
    assert torch.allclose(directions[0].abs(), axis.double().abs(), atol=1e-6)
    assert directions[0][directions[0].abs().argmax()] > 0, "the sign is fixed"


def test_scale_of_a_channel_does_not_change_the_directions():
    first, second = weights()
    directions, _ = semantic_directions([first, second])
    scaled, _ = semantic_directions([first * torch.rand(7, 1).add(0.1), 30 * second])
    assert torch.allclose(directions, scaled, atol=1e-5)
