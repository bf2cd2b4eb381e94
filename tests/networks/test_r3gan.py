"""R3GAN: the laws of its blocks, its filter and its first weights, and the paper's sizes."""

import math

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from limner.networks.r3gan import Generator, _Block, _Double, _Halve
from support.tiny_networks import DIM, discriminator, generator, gradient_reaches_all, shaken

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 40, 56), (2, 33, 17)]
DOUBLE, HALVE = _Double(), _Halve()


def blocks(network):
    return [module for module in network.modules() if isinstance(module, _Block)]


@pytest.mark.parametrize("shape", SHAPES)
def test_generator_accepts_any_image_shape_and_every_weight_counts(shape):
    network = shaken(generator("r3gan", shape))
    images = network(torch.randn(3, DIM))
    assert images.shape == (3, *shape)
    gradient_reaches_all(network, images)


@pytest.mark.parametrize("shape", SHAPES)
def test_discriminator_accepts_any_image_shape_and_every_weight_counts(shape):
    network, images = shaken(discriminator("r3gan", shape)), torch.randn(4, *shape)
    logits = network(images)
    assert logits.shape == (4,)
    assert torch.allclose(network(images[:2]), logits[:2], atol=1e-5), "images are not mixed"
    gradient_reaches_all(network, logits)


@pytest.mark.parametrize("condition", ["concat", "projection", "auxiliary"])
def test_class_changes_images_and_logits(condition):
    images, labels = torch.randn(2, 3, 16, 16), torch.tensor([0, 1])
    judge = shaken(discriminator("r3gan", (3, 16, 16), condition)).eval()
    if condition == "auxiliary":
        assert judge(images, labels).shape == (2, 4)
        return
    assert not torch.allclose(judge(images, labels), judge(images, labels + 1))
    if condition == "concat":
        made, z = generator("r3gan", (3, 16, 16), condition), torch.randn(2, DIM)
        assert not torch.allclose(made(z, labels), made(z, labels + 1))


def test_block_begins_as_the_identity():
    """Only the last convolution is zero, so its first gradient is not."""
    for network in (generator("r3gan", (3, 16, 16)), discriminator("r3gan", (3, 16, 16))):
        for block in blocks(network):
            x = torch.randn(2, block.expand.in_channels, 6, 5)
            assert torch.equal(block(x), x)
            block(x).square().sum().backward()
            assert block.reduce.weight.grad.any()
            assert block.expand.weight.any()
            assert block.mix.weight.any()
            assert not torch.equal(shaken(block)(x), x)


@pytest.mark.parametrize("num_blocks", [1, 3])
def test_generator_has_the_initial_statistics_of_fix_up(num_blocks):
    network = Generator(
        latent_dim=64, image_shape=(3, 32, 32), width=64, max_width=128, num_blocks=num_blocks,
        expansion=2, group_size=16, half_precision_stages=0, num_classes=None, condition="none",
    )  # fmt: skip
    found = blocks(network)
    assert len(found) == 4 * num_blocks
    gain = math.sqrt(2 / (1 + 0.2**2)) * len(found) ** -0.25
    for block in found:
        for layer, fan_in in ((block.expand, block.expand.in_channels), (block.mix, 9 * 16)):
            expected = gain / math.sqrt(fan_in)
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
            assert not layer.bias.any()
    z = torch.randn(400, 64)
    start = network.scales(z)[:, :, None, None] * network.basis
    assert start.std().item() == pytest.approx(1.0, rel=0.1)


def test_discriminator_is_linear_before_training():
    judge = discriminator("r3gan", (3, 16, 16))
    a, b = torch.randn(2, 5, 3, 16, 16)
    assert torch.allclose(judge(2 * a - 3 * b), 2 * judge(a) - 3 * judge(b), atol=1e-4)


def test_filter_keeps_constant_maps_up_to_the_edge():
    x = torch.full((2, 3, 5, 4), 0.7)
    assert torch.allclose(DOUBLE(x), torch.full((2, 3, 10, 8), 0.7))
    assert torch.allclose(HALVE(DOUBLE(x)), x)


def test_doubling_interpolates_linearly():
    x = torch.tensor([3.0, 5.0, 1.0]).expand(1, 1, 3, 3)
    expected = torch.tensor([3.0, 4.0, 5.0, 3.0, 1.0, 1.0])
    assert torch.allclose(DOUBLE(x), expected.expand(1, 1, 6, 6))
    assert torch.allclose(DOUBLE(x.mT), expected.expand(6, 6).T)


def test_halving_is_the_transpose_of_doubling_away_from_the_edge():
    """<halved(x), y> = <x, doubled(y)> / 4 for maps that are zero at the edge."""
    x, y = torch.zeros(1, 1, 12, 16), torch.zeros(1, 1, 6, 8)
    x[..., 2:-2, 2:-2], y[..., 1:-1, 1:-1] = torch.randn(8, 12), torch.randn(4, 6)
    assert torch.allclose((HALVE(x) * y).sum(), (x * DOUBLE(y)).sum() / 4, atol=1e-4)
    impulse = torch.zeros(1, 1, 1, 12)
    impulse[..., 6] = 1
    assert torch.allclose(HALVE(impulse.expand(-1, -1, 12, -1))[0, 0, 2, 2:5],
                          torch.tensor([0.0, 0.5, 0.0]))  # fmt: skip


@pytest.mark.parametrize(("stages", "halved"), [(0, 0), (2, 2), (9, 4)])
def test_only_the_finest_stages_are_in_half_precision(stages, halved):
    """A 32x32 network has four stages."""
    networks = [
        (generator("r3gan", (3, 32, 32), half_precision_stages=stages), torch.randn(2, DIM)),
        (discriminator("r3gan", (3, 32, 32), half_precision_stages=stages),
         torch.randn(2, 3, 32, 32)),
    ]  # fmt: skip
    for network, entry in networks:
        kinds = []
        for block in blocks(network):
            block.mix.register_forward_hook(
                lambda _, __, out, kinds=kinds: kinds.append(out.dtype)
            )
        with torch.autocast("cpu", torch.bfloat16):
            output = network(entry)
        assert kinds.count(torch.bfloat16) == halved
        assert kinds.count(torch.float32) == 4 - halved
        fine_first = kinds if network is networks[1][0] else kinds[::-1]
        assert fine_first[:halved] == [torch.bfloat16] * halved
        assert torch.allclose(output.float(), network(entry), atol=0.1)


def test_channels_last_changes_only_the_memory_order():
    networks = [
        (shaken(generator("r3gan", (3, 32, 32))), torch.randn(2, DIM)),
        (shaken(discriminator("r3gan", (3, 32, 32))), torch.randn(2, 3, 32, 32)),
    ]
    for network, entry in networks:
        before = network(entry)
        network.to(memory_format=torch.channels_last)
        orders = []
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(
                    lambda _, __, out, orders=orders: orders.append(
                        out.is_contiguous(memory_format=torch.channels_last)
                    )
                )
        if entry.ndim == 4:
            entry = entry.to(memory_format=torch.channels_last)
        assert torch.allclose(network(entry), before, atol=1e-4)
        assert all(orders)


def test_networks_for_cifar10_have_the_sizes_of_the_paper(composed):
    """4 stages of 2 blocks, 768 channels, 96 groups of 16; no 1x1 convolution between stages."""
    config = composed(
        "experiment=r3gan_cifar10", "model/condition=none", "network.generator_condition=none"
    )
    nodes = OmegaConf.to_container(config.network, resolve=True)
    with torch.device("meta"):
        networks = instantiate(nodes["generator"]), instantiate(nodes["discriminator"])
    block = 768 * 1536 + 1536 + 1536 * 16 * 9 + 1536 + 1536 * 768
    ends = (
        64 * 768 + 768 + 768 * 16 + 768 * 3 + 3,
        3 * 768 + 768 + 768 * 16 + 768 + 1,
    )
    for network, end in zip(networks, ends, strict=True):
        assert {each.mix.groups for each in blocks(network)} == {96}
        assert sum(p.numel() for p in network.parameters()) == 8 * block + end
    images = networks[0](torch.randn(2, 64, device="meta"))  # a device without autocast
    assert networks[1](images).shape == (2,)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_blocks": 0}, r"network\.num_blocks=0: must be 1 or more"),
        ({"group_size": 3}, r"network\.group_size=3 must divide the (8|16) hidden channels"),
        ({"group_size": 0}, r"network\.group_size=0 must divide"),
        ({"expansion": 0}, r"network\.expansion=0: must be 1 or more"),
        ({"half_precision_stages": -1}, r"half_precision_stages=-1: must be 0 or more"),
    ],
)
def test_network_refuses_options_that_do_not_fit(changed, message):
    for make in (generator, discriminator):
        with pytest.raises(ValueError, match=message):
            make("r3gan", (3, 16, 16), **changed)
    with pytest.raises(ValueError, match="choose one of none, concat"):
        generator("r3gan", (3, 16, 16), "batch_norm")
