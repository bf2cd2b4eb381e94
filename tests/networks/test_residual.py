"""Residual networks accept any image shape, and gradients reach every parameter."""

import pytest
import torch

from limner.networks import residual
from limner.networks.residual_blocks import Levels, SelfAttention
from support.tiny_networks import gradient_reaches_all

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 40, 24), (2, 33, 17)]
SIZE = {"width": 8, "max_width": 16, "num_blocks": 1, "attention_size": 8}
DIM, BATCH = 5, 3


def num_attentions(network):
    return sum(isinstance(module, SelfAttention) for module in network.modules())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("num_classes", [None, BATCH])
def test_residual_networks_accept_vector_codes(shape, num_classes):
    labels = None if num_classes is None else torch.arange(BATCH)
    size = {**SIZE, "latent_dim": DIM, "image_shape": shape, "num_classes": num_classes}
    encoder = residual.Encoder(**size)
    mean, logvar = encoder(torch.randn(BATCH, *shape), labels)
    assert mean.shape == logvar.shape == (BATCH, DIM)
    gradient_reaches_all(encoder, mean, logvar)
    decoder = residual.Decoder(**size, params_per_value=6)
    params = decoder(torch.randn(BATCH, DIM), labels)
    assert params.shape == (BATCH, 6 * shape[0], *shape[1:])
    gradient_reaches_all(decoder, params)


@pytest.mark.parametrize(
    ("shape", "num_halvings", "map_size"),
    [
        ((1, 8, 8), 1, (4, 4)),
        ((3, 32, 32), 2, (8, 8)),
        ((1, 28, 28), 2, (7, 7)),
        ((3, 40, 24), 1, (20, 12)),
        ((2, 33, 17), 2, (9, 5)),
        ((2, 33, 17), 1, (18, 10)),  # 36x20 could be halved twice.
    ],
)
def test_residual_networks_accept_maps_of_codes(shape, num_halvings, map_size):
    size = {**SIZE, "code_dim": DIM, "image_shape": shape, "num_halvings": num_halvings}
    encoder = residual.MapEncoder(**size)
    codes = encoder(torch.randn(BATCH, *shape))
    assert encoder.map_size == map_size
    assert codes.shape == (BATCH, DIM, *map_size)
    gradient_reaches_all(encoder, codes)
    decoder = residual.MapDecoder(**size, params_per_value=1)
    params = decoder(torch.randn(BATCH, DIM, *map_size))
    assert params.shape == (BATCH, *shape)
    gradient_reaches_all(decoder, params)


@pytest.mark.parametrize(("attention_size", "expected"), [(None, 0), (7, 2), (14, 4), (28, 6)])
def test_residual_levels_have_attention_up_to_the_given_size(attention_size, expected):
    size = {**SIZE, "num_blocks": 2, "attention_size": attention_size}
    encoder = residual.Encoder(latent_dim=DIM, image_shape=(1, 28, 28), num_classes=None, **size)
    assert num_attentions(encoder) == expected


def test_attention_is_a_weighted_mean_over_all_positions():
    attention = SelfAttention(8)
    torch.nn.init.normal_(attention.attended.weight)
    x = torch.randn(2, 8, 3, 4)
    query, key, value = attention.queries_keys_values(attention.norm(x)).flatten(2).chunk(3, dim=1)
    weights = (query.mT @ key / 8**0.5).softmax(2)  # (B, 12, 12)
    seen = (weights @ value.mT).mT.unflatten(2, (3, 4))
    assert torch.allclose(attention(x), x + attention.attended(seen), atol=1e-5)


def test_residual_network_output_of_an_image_does_not_depend_on_its_batch():
    size = {**SIZE, "latent_dim": DIM, "image_shape": (1, 28, 28), "num_classes": None}
    encoder = residual.Encoder(**size)
    images = torch.randn(4, 1, 28, 28)
    assert torch.allclose(encoder(images)[0][:2], encoder(images[:2])[0], atol=1e-5)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"width": 12}, "width=12"),
        ({"max_width": 0}, "max_width=0"),
        ({"num_blocks": 0}, "num_blocks=0"),
        ({"num_halvings": 0}, "num_halvings=0 must lie between 1 and 3"),
        ({"num_halvings": 4}, "num_halvings=4 must lie between 1 and 3"),
    ],
)
def test_residual_networks_refuse_invalid_sizes(changed, key):
    with pytest.raises(ValueError, match=key):
        Levels((3, 32, 32), **{**SIZE, "num_halvings": None, **changed})
