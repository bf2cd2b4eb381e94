"""Modulated convolutions against the paper's formula, and the mapping network."""

import pytest
import torch
from torch.nn.functional import conv2d

from limner.networks.modulation import Mapping, ModulatedConv2d, Painting


def mapping(latent_dim=6, num_classes=None):
    return Mapping(latent_dim, 8, num_layers=2, multiplier=0.01, num_classes=num_classes)


@pytest.mark.parametrize("doubles", [False, True])
def test_demodulated_outputs_have_unit_variance_for_unit_inputs(doubles):
    layer = ModulatedConv2d(64, 32, 3, style_dim=8, doubles=doubles)
    for size in (0.1, 10.0):
        h = layer(torch.randn(16, 64, 12, 12), size * torch.randn(16, 8))[..., 2:-2, 2:-2]
        by_image = h.flatten(1).std(1)
        if doubles:  # the filter after it averages, so the variance is below 1 and constant
            assert by_image.std() / by_image.mean() < 0.2
        else:
            torch.testing.assert_close(by_image, torch.ones(16), atol=0.15, rtol=0)


@pytest.mark.parametrize("demodulates", [False, True])
def test_modulated_convolution_equals_weights_for_each_image(demodulates):
    """Equations 1 to 3 of the paper."""
    layer = ModulatedConv2d(5, 7, 3, style_dim=8, demodulates=demodulates)
    h, w = torch.randn(4, 5, 6, 6), torch.randn(4, 8)
    weights = layer.affine(w)[:, None, :, None, None] * layer.weight / (5 * 9) ** 0.5
    if demodulates:
        weights = weights / (weights.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    expected = [conv2d(x[None], k, padding=1) for x, k in zip(h, weights, strict=True)]
    torch.testing.assert_close(layer(h, w), torch.cat(expected), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_modulated_convolution_has_the_precision_of_its_weights(dtype):
    layer = ModulatedConv2d(5, 7, 3, style_dim=8)
    h, w = torch.randn(4, 5, 6, 6), torch.randn(4, 8)
    expected, found = layer(h, w), layer.to(dtype)(h.to(dtype), w.to(dtype))
    assert found.dtype == dtype
    tolerance = 0.1 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(found.float(), expected, atol=tolerance, rtol=tolerance)


def test_noise_has_no_effect_until_its_strength_is_learned():
    layer = Painting(4, 5, style_dim=8, doubles=True, noise=True)
    h, w, noise = torch.randn(2, 4, 3, 3), torch.randn(2, 8), torch.randn(2, 1, 6, 6)
    torch.testing.assert_close(layer(h, w, noise), layer(h, w, None))
    layer(h, w, noise).sum().backward()
    assert layer.noise_strength.grad != 0
    torch.nn.init.ones_(layer.noise_strength)
    assert not torch.allclose(layer(h, w, noise), layer(h, w, None))


def test_mapping_reads_the_direction_of_z_only():
    z, network = torch.randn(3, 6), mapping()
    torch.testing.assert_close(network(5 * z, None), network(z, None))
    assert not torch.allclose(network(-z, None), network(z, None))


def test_mapping_gives_a_class_and_its_code_the_same_style():
    network = mapping(num_classes=3)
    z, labels = torch.randn(3, 6), torch.tensor([0, 2, 1])
    of_classes = network(z, labels)
    torch.testing.assert_close(network(z, torch.eye(3)[labels]), of_classes)
    assert not torch.allclose(network(z, labels.flip(0)), of_classes)
    alone = mapping(latent_dim=0, num_classes=3)
    assert alone(None, labels).shape == (3, 8)
