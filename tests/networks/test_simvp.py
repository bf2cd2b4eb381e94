"""The network that predicts all frames at once."""

import pytest
import torch

from limner.networks.simvp import SimVP


def predictor(**changes):
    torch.manual_seed(0)
    return SimVP(**{
        "image_shape": (3, 8, 8), "num_inputs": 3, "num_targets": 2, "width": 4, "num_layers": 2,
        "hidden": 8, "num_blocks": 2, "patch": 2,
    } | changes)  # fmt: skip


def frames(size=(8, 8)):
    return torch.rand(2, 3, 3, *size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_every_predicted_frame_depends_on_every_input_frame():
    inputs = frames().requires_grad_()
    found = predictor()(inputs, 2)
    for step in range(2):
        (gradient,) = torch.autograd.grad(found[:, step].sum(), inputs, retain_graph=True)
        assert (gradient.abs().flatten(2).sum(2) > 0).all()


def test_more_frames_follow_from_the_predicted_frames():
    network, inputs = predictor(), frames()
    first = network(inputs, 2)
    known = torch.cat([inputs, torch.tanh(first / 2)], 1)[:, -3:]
    expected = torch.cat([first, network(known, 2)], 1)[:, :3]
    torch.testing.assert_close(network(inputs, 3), expected)
    torch.testing.assert_close(network(inputs, 1), first[:, :1])


def test_network_predicts_frames_of_any_size_in_float32():
    with torch.autocast("cpu", torch.bfloat16):
        found = predictor(patch=4)(frames((7, 10)), 2)
    assert (found.shape, found.dtype) == ((2, 2, 3, 7, 10), torch.float32)


def test_every_weight_of_the_network_has_a_gradient():
    network = predictor()
    network(frames(), 2).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in network.parameters())


@pytest.mark.parametrize("change", [{"num_layers": 0}, {"num_blocks": 0}])
def test_simvp_refuses_no_layers(change):
    with pytest.raises(ValueError, match="must be 1 or more"):
        predictor(**change)
