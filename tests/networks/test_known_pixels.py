"""The network for holes changes the pixels in holes only, and begins at the fill."""

import pytest
import torch
from torch import nn

from limner.augmentations.filling import PullPush, pull_push
from limner.networks.known_pixels import KnownPixels
from limner.networks.nafnet import NAFNet
from support.tiny_networks import gradient_reaches_all, shaken

SHAPES = {"input_shape": [4, 16, 16], "image_shape": [3, 16, 16]}


class First(nn.Module):
    """Network that returns the images that it reads."""

    scale, multiple = 1, 1

    def forward(self, inputs):
        return inputs[:, :3]


def made(network=None):
    torch.manual_seed(0)
    small = NAFNet(
        **SHAPES, scale=1, width=4, encoder_blocks=[1], middle_blocks=1, decoder_blocks=[1]
    )
    return KnownPixels(network=network or small, fill=PullPush(), **SHAPES)


def inputs():
    images = torch.randn(2, 3, 11, 14)
    is_known = torch.rand(2, 1, 11, 14) < 0.7
    return images, is_known, torch.cat([images * is_known, 2 * is_known.float() - 1], 1)


def test_known_pixels_stay_as_they_are_and_holes_change():
    images, is_known, read = inputs()
    network = shaken(made())
    output = network(read)
    assert torch.equal(output.masked_select(is_known), images.masked_select(is_known))
    assert (output - pull_push(images, is_known)).abs().masked_select(~is_known).min() > 0
    gradient_reaches_all(network, output)


def test_network_reads_the_filled_image_and_the_mask():
    images, is_known, read = inputs()
    torch.testing.assert_close(made(First())(read), pull_push(images, is_known))


def test_known_pixels_are_exact_in_mixed_precision():
    images, is_known, read = inputs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = made()(read)
    assert torch.equal(output.masked_select(is_known), images.masked_select(is_known))


def test_attributes_are_those_of_the_network_but_for_the_reach():
    network = made()
    assert (network.scale, network.multiple, network.overlap) == (1, 2, None)


def test_inputs_without_a_mask_are_refused():
    shapes = {"input_shape": [3, 16, 16], "image_shape": [3, 16, 16]}
    with pytest.raises(ValueError, match="data/degradation=holes"):
        KnownPixels(network=First(), fill=PullPush(), **shapes)
