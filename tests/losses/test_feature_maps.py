import copy

import pytest
import torch

from limner.losses.feature_maps import FeatureMaps
from limner.networks.efficientnet_lite import EfficientNetLite0
from support.styles import Levels


@pytest.mark.parametrize("depths", [[], [1, 0], [0, 0], [2], [-1], [0.5], [True]])
def test_maps_refuse_depths_that_the_network_does_not_have(depths):
    with pytest.raises(ValueError, match=r"depths=.*from 0 to 1, the depths of Levels"):
        FeatureMaps(network=Levels(), depths=depths)


def test_maps_of_lite0_are_the_stem_and_its_blocks_and_frozen():
    maps = FeatureMaps(network=EfficientNetLite0(), depths=[0, 1, 3, 5])
    images = (torch.rand(2, 3, 33, 40) * 2 - 1).requires_grad_()
    found = maps(images)
    sizes = [(32, 17, 20), (16, 17, 20), (24, 9, 10), (40, 5, 5)]
    assert [tuple(each.shape[1:]) for each in found] == sizes
    sum(each.square().mean() for each in found).backward()
    assert images.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in maps._network.parameters())
    stages = maps._network.stages(images, num_stages=2)
    assert all(torch.equal(a, b) for a, b in zip(stages, found[2:], strict=True))


def test_maps_are_float32_under_autocast_and_shared_by_copies():
    maps = FeatureMaps(network=EfficientNetLite0(), depths=[0])
    with torch.autocast("cpu", torch.bfloat16):
        assert maps(torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16))[0].dtype == torch.float32
    assert copy.deepcopy(maps) is maps


def test_maps_refuse_images_of_two_channels_in_the_name_of_their_loss():
    with pytest.raises(ValueError, match=r"model\.losses\.gram compares images of 1 or 3 chann"):
        FeatureMaps(network=Levels(), depths=[0]).check(
            torch.zeros(1, 2, 4, 4), user="model.losses.gram"
        )
