import pytest
import torch
from torch import nn

from limner.networks.johnson import Johnson
from limner.networks.style_norm import Layers, StyleNorm

SHAPES = {"input_shape": (3, 16, 16), "image_shape": (3, 16, 16), "scale": 1}


def test_style_norm_has_the_factors_and_offsets_of_each_image_s_style():
    norm, h = StyleNorm(4, 2), torch.randn(3, 4, 5, 7) * 3 + 1
    with torch.no_grad():
        norm.gamma[1], norm.beta[1] = 2.0, 0.5
    found = norm(h, torch.tensor([0, 1, 0]))
    mean, std = h.mean((2, 3), keepdim=True), h.std((2, 3), keepdim=True, correction=0)
    expected = (h - mean) / std
    expected[1] = 2 * expected[1] + 0.5
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(norm.eval()(h, torch.tensor([0, 1, 0])), found)


def test_layers_pass_the_styles_to_those_that_take_them():
    layers = Layers(nn.Conv2d(3, 4, 1), StyleNorm(4, 2), Layers(nn.ReLU(), StyleNorm(4, 2)))
    with torch.no_grad():
        layers[2][1].beta[1] = 7.0
    h = torch.randn(1, 3, 4, 4).expand(2, -1, -1, -1)
    first, second = layers(h, torch.tensor([0, 1]))
    torch.testing.assert_close(second, first + 7)


@pytest.mark.parametrize("num_styles", [1, 3])
def test_johnson_with_styles_gives_every_parameter_a_gradient(num_styles):
    network = Johnson(**SHAPES, width=4, num_blocks=1, num_styles=num_styles)
    inputs = torch.rand(num_styles, 3, 18, 21) * 2 - 1
    more = (torch.arange(num_styles),) if num_styles > 1 else ()
    output = network(inputs, *more)
    assert output.shape == inputs.shape
    (output * torch.randn(output.shape)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if name.endswith(("gamma", "beta")):
            assert (parameter.grad.abs().sum(1) > 0).all(), name


def test_johnson_paints_an_image_in_a_style_whatever_the_rest_of_the_batch():
    network = Johnson(**SHAPES, width=4, num_blocks=1, num_styles=2)
    for norm in network.modules():
        if isinstance(norm, StyleNorm):
            nn.init.normal_(norm.beta)
    images = torch.rand(2, 3, 16, 16)
    both = network(images, torch.tensor([0, 1]))
    alone = network(images[1:], torch.tensor([1]))
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-4)
    assert (network(images[1:], torch.tensor([0])) - alone).abs().max() > 0.01


def test_johnson_refuses_0_styles():
    with pytest.raises(ValueError, match="num_styles=0"):
        Johnson(**SHAPES, width=4, num_blocks=1, num_styles=0)
