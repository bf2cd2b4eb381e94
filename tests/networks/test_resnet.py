"""The tables of the SNGAN paper, compared with the real configs."""

import math

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from support.tiny_networks import generator


@pytest.fixture
def networks(composed):
    """Return generator and discriminator of a composed config, without memory for weights."""

    def make(*overrides):
        config = composed(
            "model=gan",
            "model.latent_dim=128",
            "data=cifar10",
            "network.spectral_norm=false",
            *overrides,
        )
        shelf = OmegaConf.to_container(config.network, resolve=True)
        with torch.device("meta"):
            return instantiate(shelf["generator"]), instantiate(shelf["discriminator"])

    return make


def size(network):
    return sum(parameter.numel() for parameter in network.parameters())


def conv(before, after, kernel=3):
    """Count the parameters of a convolution with bias."""
    return before * after * kernel**2 + after


def test_resnet_for_cifar10_equals_table_4(networks):
    made, judge = networks("network=resnet")
    block = 2 * conv(256, 256) + conv(256, 256, 1) + 2 * 2 * 256
    assert size(made) == (128 + 1) * 16 * 256 + 3 * block + 2 * 256 + conv(256, 3) == 4_276_739
    first = conv(3, 128) + conv(128, 128) + conv(3, 128, 1)
    second = 2 * conv(128, 128) + conv(128, 128, 1)
    assert size(judge) == first + second + 2 * 2 * conv(128, 128) + 128 + 1 == 1_053_825


@pytest.mark.parametrize(
    ("side", "more", "linear", "doubled", "halved"),
    [
        (48, ["network.generator.max_width=512", "network.discriminator.smallest=3"],
         (512, 6, 6), [256, 128, 64], [64, 128, 256, 512, 1024]),
        (64, [], (1024, 4, 4), [512, 256, 128, 64], [64, 128, 256, 512, 1024]),
        (128, [], (1024, 4, 4), [1024, 512, 256, 128, 64], [64, 128, 256, 512, 1024, 1024]),
    ],
)  # fmt: skip
def test_larger_resnets_equal_tables_5_and_6(networks, side, more, linear, doubled, halved):
    """The network for 64x64 is the usual network, with a size between the two tables."""
    size = f"data.image_shape=[3,{side},{side}]"
    made, judge = networks("network=resnet_large", size, *more)
    assert made.coarsest == linear
    assert [block.shortcut[0].out_channels for block in made.blocks] == doubled
    convs = [
        [m for m in block.residual if isinstance(m, nn.Conv2d)] for block in judge.blocks[:-1]
    ]
    assert [last.out_channels for _, last in convs] == halved
    assert [first.out_channels for first, _ in convs[1:]] == halved[:-1], (
        "first conv: channels of input"
    )
    num_halvings = sum(isinstance(block.residual[-1], nn.AvgPool2d) for block in judge.blocks[:-1])
    assert num_halvings == len(halved) - 1


def test_resnet_images_have_the_initial_variance_of_the_formula():
    """Before tanh: fan_in * Var(w) * E[relu(n)^2], n ~ N(0, 1), w of Glorot's uniform."""
    network = generator("resnet", (3, 32, 32), width=32, max_width=32)
    images = network(torch.randn(32, 5))
    fans = 9 * 32, 9 * 3
    expected = math.sqrt(fans[0] * 2 / sum(fans) / 2)
    assert torch.atanh(images.double()).std().item() == pytest.approx(expected, rel=0.15)
