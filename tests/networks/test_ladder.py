"""A ladder of latent layers: p and q share one code, whose prior is N(0, I)."""

import pytest
import torch

from limner.losses.kl import kl_dimensions
from limner.losses.likelihood import Bernoulli
from limner.networks import ladder

SIZE = {"width": 8, "max_width": 16, "num_blocks": 1, "attention_size": None, "num_classes": None}


def made(shape, num_layers, latent_channels=2, num_classes=None):
    size = {**SIZE, "num_classes": num_classes}
    encoder = ladder.Encoder(image_shape=shape, **size)
    decoder = ladder.Decoder(
        image_shape=shape, params_per_value=3, num_layers=num_layers,
        latent_channels=latent_channels, **size,
    )  # fmt: skip
    for layer in decoder.modules():
        if isinstance(layer, ladder._Head):  # weights such as after some training
            torch.nn.init.normal_(layer.layers[-1].weight, std=0.05)
    return encoder, decoder


@pytest.mark.parametrize(
    ("shape", "num_layers", "latent_dim"),
    [
        ((1, 8, 8), [1, 1], 2 * (4 * 4 + 8 * 8)),
        ((1, 28, 28), [2, 1], 2 * (2 * 7 * 7 + 14 * 14)),
        ((3, 33, 17), [1, 0, 1], 2 * (9 * 5 + 36 * 20)),
    ],
)
def test_ladder_has_the_right_shapes_and_gradients(shape, num_layers, latent_dim):
    encoder, decoder = made(shape, num_layers)
    assert decoder.latent_dim == sum(decoder.layer_sizes) == latent_dim
    found = decoder.infer(encoder(torch.randn(2, *shape)), torch.randn(2, latent_dim))
    assert found.params.shape == (2, 3 * shape[0], *shape[1:])
    assert found.z.shape == found.mean.shape == found.logvar.shape == (2, latent_dim)
    sum(part.square().sum() for part in found).backward()
    missing = [n for n, p in decoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert not missing
    reached = [n for n, p in encoder.named_parameters() if p.grad is not None and p.grad.any()]
    unused = ("stages.0", "stages.1") if num_layers == [1, 0, 1] else ("stages.0",)
    assert any(name.startswith(f"stages.{len(encoder.stages) - 1}") for name in reached)
    assert all(any(n.startswith(u) for n in reached) for u in unused), "no gradient reaches them"


def test_ladder_generates_from_its_code_what_was_inferred():
    encoder, decoder = made((1, 28, 28), [2, 1])
    eps = torch.randn(3, decoder.latent_dim)
    found = decoder.infer(encoder(torch.randn(3, 1, 28, 28)), eps)
    assert torch.allclose(found.z, found.mean + torch.exp(found.logvar / 2) * eps)
    assert torch.allclose(decoder(found.z), found.params, atol=1e-5)
    assert kl_dimensions(found.mean, found.logvar).sum() > 0.01


def test_ladder_layer_depends_on_draws_above_it_and_not_on_draws_below():
    encoder, decoder = made((1, 28, 28), [1, 1, 1])
    maps = encoder(torch.randn(1, 1, 28, 28))
    eps = torch.randn(1, decoder.latent_dim)
    before = decoder.infer(maps, eps).mean.split(decoder.layer_sizes, dim=1)
    for changed in range(3):
        parts = list(eps.split(decoder.layer_sizes, dim=1))
        parts[changed] = parts[changed] + 1
        after = decoder.infer(maps, torch.cat(parts, dim=1)).mean
        same = [
            torch.equal(a, b)
            for a, b in zip(before, after.split(decoder.layer_sizes, dim=1), strict=True)
        ]
        assert same == [layer <= changed for layer in range(3)]


def test_ladder_inference_and_generation_depend_on_the_class():
    encoder, decoder = made((1, 8, 8), [1, 1], num_classes=3)
    images, eps = torch.randn(1, 1, 8, 8).expand(3, 1, 8, 8), torch.randn(1, decoder.latent_dim)
    labels = torch.arange(3)
    maps = encoder(images, labels)
    assert not torch.allclose(maps[0][0], maps[0][1])
    found = decoder.infer(maps, eps.expand(3, -1), labels)
    assert torch.allclose(decoder(found.z, labels), found.params, atol=1e-5)
    params = decoder(eps.expand(3, -1), labels)
    assert not torch.allclose(params[0], params[1])
    with pytest.raises(ValueError, match="needs labels, but got none"):
        decoder(eps)


def test_new_ladder_starts_at_its_prior():
    encoder = ladder.Encoder(image_shape=(1, 8, 8), **SIZE)
    decoder = ladder.Decoder(
        image_shape=(1, 8, 8), params_per_value=1, num_layers=[1, 1], latent_channels=2, **SIZE
    )
    found = decoder.infer(encoder(torch.randn(4, 1, 8, 8)), torch.randn(4, decoder.latent_dim))
    assert kl_dimensions(found.mean, found.logvar).sum(1).max() < 0.1


@pytest.mark.slow
def test_ladder_trains():
    """Images of four bits, with black or white quadrants: log p(x) is -2.8 nats at best."""
    encoder = ladder.Encoder(image_shape=(1, 8, 8), **SIZE)
    decoder = ladder.Decoder(
        image_shape=(1, 8, 8), params_per_value=1, num_layers=[1, 1], latent_channels=2, **SIZE
    )
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-2)
    for _ in range(45):
        bits = torch.randint(2, (32, 1, 2, 2)).float() * 2 - 1
        images = bits.repeat_interleave(4, 2).repeat_interleave(4, 3)
        found = decoder.infer(encoder(images), torch.randn(32, decoder.latent_dim))
        kl = kl_dimensions(found.mean, found.logvar).sum(1)
        bound = (Bernoulli().log_prob(found.params, images) - kl).mean()
        optimizer.zero_grad()
        (-bound / 64).backward()
        optimizer.step()
    assert -25 < bound < -2.7, "a model of independent pixels has -44"
    assert kl.mean() > 1


@pytest.mark.parametrize("num_layers", [[1], [], [1, -1, 3], [1, 1, 1]])
def test_ladder_refuses_invalid_values(num_layers):
    with pytest.raises(ValueError, match="num_layers"):
        made((1, 8, 8), num_layers)
    with pytest.raises(ValueError, match="latent_channels=0"):
        made((1, 8, 8), [1, 1], latent_channels=0)
