"""DRAW: codes of several steps, one canvas, and the VAE that it is without steps."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from limner.losses.kl import kl_dimensions
from limner.losses.likelihood import Bernoulli
from limner.networks import draw


def made(shape=(1, 6, 6), *, steps=3, codes=2, size=4, params=1, classes=None, hidden=16):
    common = {
        "image_shape": shape, "params_per_value": params, "num_codes": codes,
        "hidden_size": hidden, "num_classes": classes,
    }  # fmt: skip
    encoder = draw.Encoder(**common, decoder_size=hidden, read_size=size)
    decoder = draw.Decoder(**common, num_steps=steps, write_size=size)
    return encoder, decoder


def shaken(*networks):
    """Return networks with weights such as after some training, first states included."""
    for network in networks:
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.3)
    return networks


@pytest.mark.parametrize(
    ("shape", "params", "size"), [((1, 6, 6), 1, 3), ((3, 5, 7), 3, 4), ((2, 4, 6), 2, None)]
)
def test_draw_has_the_right_shapes_and_gradients(shape, params, size):
    encoder, decoder = made(shape, params=params, size=size)
    found = decoder.infer(encoder(torch.randn(2, *shape)), torch.randn(2, decoder.latent_dim))
    assert decoder.latent_dim == 6
    assert found.params.shape == (2, params * shape[0], *shape[1:])
    assert found.z.shape == found.mean.shape == found.logvar.shape == (2, 6)
    sum(part.square().sum() for part in found).backward()
    for network in (encoder, decoder):
        missing = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert not missing


@pytest.mark.parametrize(("shape", "side"), [((1, 6, 6), 6), ((1, 4, 7), 7)])
def test_window_is_limited_to_the_side_of_an_image(shape, side):
    """More filters than pixels cannot see more; the message names the key and both values."""
    encoder, decoder = made(shape, size=12)
    assert len(encoder.window.offsets) == len(decoder.window.offsets) == side
    assert decoder.patch_shape == (side, 1, side)
    message = f"by attention of {side}x{side} filters, as network.{{}}=12 exceeds the image"
    assert message.format("encoder.read_size") in encoder.about
    assert message.format("decoder.write_size") in decoder.about
    assert "exceeds" not in made(shape, size=side)[0].about
    torch.manual_seed(0)
    limited = made(shape, size=12)
    torch.manual_seed(0)
    given = made(shape, size=side)
    for one, other in zip(limited, given, strict=True):
        pairs = zip(one.parameters(), other.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_channels_of_the_canvas_belong_to_the_likelihood_as_documented():
    """A channel of an image is compared with the parameters of this channel only."""
    encoder, _ = shaken(*made((2, 4, 4), params=3, size=None))
    seen = []
    encoder.cell.register_forward_hook(lambda cell, inputs, output: seen.append(inputs[0][0]))
    images = torch.rand(1, 2, 4, 4)
    canvas = torch.zeros(1, 4, 6, 4)
    canvas[:, :, 3:] = 2.0  # the parameters of the second channel
    encoder(images)(canvas, torch.zeros(1, 16))
    first, second, *errors = seen[0].view(4, 8, 4).unbind(1)
    assert torch.equal(torch.stack([first, second]), images[0])
    assert all(torch.equal(error, first) for error in errors[:3])
    assert all(torch.allclose(error, second - torch.tensor(1.0).tanh()) for error in errors[3:])


@pytest.mark.parametrize("size", [None, 3])
def test_draw_generates_from_its_code_what_was_inferred(size):
    encoder, decoder = shaken(*made(size=size))
    eps = torch.randn(3, decoder.latent_dim)
    found = decoder.infer(encoder(torch.randn(3, 1, 6, 6)), eps)
    assert torch.allclose(found.z, found.mean + torch.exp(found.logvar / 2) * eps)
    assert torch.allclose(decoder(found.z), found.params, atol=1e-5)
    assert kl_dimensions(found.mean, found.logvar).sum() > 0.01


def test_step_depends_on_draws_of_earlier_steps_only():
    encoder, decoder = shaken(*made(steps=4))
    images, eps = torch.randn(1, 1, 6, 6), torch.randn(1, 8)
    before = decoder.infer(encoder(images), eps).mean.chunk(4, dim=1)
    for changed in range(4):
        parts = list(eps.chunk(4, dim=1))
        parts[changed] = parts[changed] + 1
        after = decoder.infer(encoder(images), torch.cat(parts, dim=1)).mean.chunk(4, dim=1)
        same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert same == [step <= changed for step in range(4)]


def test_paint_returns_the_canvas_after_each_step():
    _, decoder = shaken(*made(steps=3))
    z = torch.randn(2, 6)
    painted = decoder.paint(z)
    assert len(painted) == 3
    assert torch.equal(painted[-1], decoder(z))
    changed = decoder.paint(torch.cat([z[:, :4], z[:, 4:] + 1], dim=1))
    same = [torch.equal(a, b) for a, b in zip(painted, changed, strict=True)]
    assert same == [True, True, False]
    assert all(not torch.equal(a, b) for a, b in pairwise(painted))


def test_draw_depends_on_the_class():
    encoder, decoder = shaken(*made(classes=3))
    images, eps = torch.randn(1, 1, 6, 6).expand(3, 1, 6, 6), torch.randn(1, 6).expand(3, -1)
    labels = torch.arange(3)
    found = decoder.infer(encoder(images, labels), eps, labels)
    assert not torch.allclose(found.mean[0], found.mean[1])
    assert torch.allclose(decoder(found.z, labels), found.params, atol=1e-5)
    params = decoder(eps, labels)
    assert not torch.allclose(params[0], params[1])
    with pytest.raises(ValueError, match="needs labels, but got none"):
        decoder(eps)


def test_draw_stays_near_float32_and_finite_under_autocast():
    encoder, decoder = shaken(*made(steps=8))
    images, eps = torch.rand(4, 1, 6, 6) * 2 - 1, torch.randn(4, 16)
    exact = decoder.infer(encoder(images), eps)
    with torch.autocast("cpu", torch.bfloat16):
        found = decoder.infer(encoder(images), eps)
        loss = -Bernoulli().log_prob(found.params, images).mean()
    loss.backward()
    assert found.z.dtype == found.params.dtype == torch.float32
    assert torch.allclose(found.params, exact.params, atol=0.3)
    for network in (encoder, decoder):
        assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_draw_trains():
    """Images of four bits, with black or white quadrants: log p(x) is -2.8 nats at best."""
    encoder, decoder = made((1, 8, 8), steps=2, codes=2, size=4, hidden=32)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=2e-2)
    for _ in range(100):
        bits = torch.randint(2, (32, 1, 2, 2)).float() * 2 - 1
        images = bits.repeat_interleave(4, 2).repeat_interleave(4, 3)
        found = decoder.infer(encoder(images), torch.randn(32, decoder.latent_dim))
        kl = kl_dimensions(found.mean, found.logvar).sum(1)
        bound = (Bernoulli().log_prob(found.params, images) - kl).mean()
        optimizer.zero_grad()
        (-bound / 64).backward()
        optimizer.step()
    assert -36 < bound < -2.7, "a model of independent pixels has -44"
    assert kl.mean() > 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "network.num_steps=0"),
        ({"codes": 0}, "network.num_codes=0"),
        ({"size": 0}, "read_size=0: must be 1 or more, or null"),
    ],
)
def test_draw_refuses_invalid_values(wrong, message):
    with pytest.raises(ValueError, match=message):
        made(**wrong)
