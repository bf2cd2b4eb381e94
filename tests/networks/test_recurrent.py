"""The recurrent encoder and decoder of sequences: formulas, shapes and refusals."""

import pytest
import torch
from torch.nn import functional

from limner.networks.recurrent import Decoder, Encoder


def encoder(**changes):
    torch.manual_seed(0)
    return Encoder(**{
        "latent_dim": 5, "image_shape": (1, 12, 12), "width": 8, "max_width": 8, "hidden_dim": 6,
        "num_classes": None,
    } | changes).double()  # fmt: skip


def decoder(**changes):
    torch.manual_seed(0)
    return Decoder(**{
        "latent_dim": 5, "image_shape": (1, 12, 12), "num_frames": 4, "params_per_value": 1,
        "width": 8, "patch_size": 2, "kernel_size": 3, "num_classes": None,
    } | changes).double()  # fmt: skip


def codes(num=3):
    return torch.randn(num, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_decoder_unrolls_the_equations_of_a_convolutional_lstm():
    network, z = decoder(), codes()
    first = network.first(z)
    assert first.shape == (3, 18, 6, 6)
    h, c, x = first[:, :8].tanh(), first[:, 8:16], first[:, 16:]
    weight, bias = network.cell.gates.weight, network.cell.gates.bias
    frames = []
    for _ in range(4):
        joined = torch.cat([x, h], 1)
        i, f, g, o = (
            functional.conv2d(joined, w, b, padding=1)
            for w, b in zip(weight.split(8), bias.split(8), strict=True)
        )
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        frames.append(network.frame(h))
    assert torch.allclose(network(z), torch.stack(frames, 1), atol=1e-12)


def test_longer_sequence_begins_with_the_frames_of_the_shorter_one():
    network, z = decoder(), codes()
    longer = network(z, num_frames=9)
    assert longer.shape == (3, 9, 1, 12, 12)
    assert torch.allclose(longer[:, :4], network(z), atol=1e-12)
    assert not torch.allclose(longer[:, 4:8], longer[:, :4])


def test_code_alone_determines_a_sequence_of_the_decoder():
    network, z = decoder(), codes()
    assert torch.allclose(network(z[1:]), network(z)[1:], atol=1e-12)
    gradient = torch.autograd.functional.jacobian(lambda z: network(z)[0, -1].sum(), z)
    assert gradient[0].abs().min() > 0
    assert gradient[1:].abs().max() == 0


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (1, 30, 17), (3, 64, 64)])
@pytest.mark.parametrize("patch_size", [1, 2])
def test_shapes_of_encoder_and_decoder_fit_frames_of_any_size(shape, patch_size):
    network = decoder(image_shape=shape, patch_size=patch_size, params_per_value=3)
    params = network(codes(2))
    assert params.shape == (2, 4, 3 * shape[0], *shape[1:])
    mean, logvar = encoder(image_shape=shape)(torch.rand(2, 4, *shape, dtype=torch.float64))
    assert mean.shape == logvar.shape == (2, 5)


def test_encoder_reads_every_frame_and_their_order():
    network = encoder()
    frames = torch.rand(2, 6, 1, 12, 12, dtype=torch.float64, requires_grad=True)
    mean, logvar = network(frames)
    (mean.sum() + logvar.sum()).backward()
    assert frames.grad.abs().amax((0, 2, 3, 4)).min() > 0
    assert not torch.allclose(network(frames.flip(1))[0], mean)
    assert torch.allclose(network(frames[1:])[0], mean[1:], atol=1e-12)
    assert network(frames[:, :1])[0].shape == (2, 5), "any length"


def test_gradients_reach_every_parameter():
    for network, inputs in [
        (encoder(), torch.rand(2, 3, 1, 12, 12, dtype=torch.float64)), (decoder(), codes()),
    ]:  # fmt: skip
        found = network(inputs)
        sum(each.square().sum() for each in (found if isinstance(found, tuple) else [found]))
        total = torch.cat([each.flatten() for each in found]).square().sum()
        total.backward()
        assert [n for n, p in network.named_parameters() if p.grad.abs().max() == 0] == []


def test_conditional_networks_depend_on_the_class():
    labels, others = torch.tensor([0, 1, 2]), torch.tensor([0, 2, 1])
    frames = torch.rand(3, 2, 1, 12, 12, dtype=torch.float64)
    for network, inputs in [(encoder(num_classes=3), frames), (decoder(num_classes=3), codes())]:
        found, changed = network(inputs, labels), network(inputs, others)
        if isinstance(found, tuple):
            found, changed = found[0], changed[0]
        assert torch.allclose(found[0], changed[0])
        assert not torch.allclose(found[1:], changed[1:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_size": 4}, "12x12 pixels need 4"),
        ({"patch_size": 0}, "must be 1 or more"),
        ({"num_frames": 0}, "must be 1 or more"),
        ({"kernel_size": 2}, "must be odd"),
        ({"num_classes": 0}, "model/condition=none"),
    ],
)
def test_decoder_refuses_unfit_values(changes, message):
    with pytest.raises(ValueError, match=message):
        decoder(**changes)
