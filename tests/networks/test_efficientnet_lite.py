"""EfficientNet-lite0 names the pictures that scikit-image ships, and gives maps of four sizes."""

import pytest
import torch
from skimage import data
from torch.nn.functional import interpolate

from limner.networks.efficientnet_lite import EfficientNetLite0, _SameConv
from limner.networks.imagenet_weights import load_imagenet_weights


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    return EfficientNetLite0().load().requires_grad_(False)


def picture(name: str, size: int = 224) -> torch.Tensor:
    """Return the central square of a picture, (1, 3, size, size) in [-1, 1]."""
    image = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)[None].float() / 127.5 - 1
    side = min(image.shape[2:])
    top, left = ((length - side) // 2 for length in image.shape[2:])
    image = image[:, :, top : top + side, left : left + side]
    return interpolate(image, (size, size), mode="bilinear", antialias=True)


@pytest.mark.parametrize(("name", "label"), [("cat", 285), ("coffee", 967), ("rocket", 657)])
def test_network_names_pictures(network, name, label):
    assert network(picture(name)).argmax(1).item() == label


def test_network_loads_every_published_tensor_without_renaming():
    published = load_imagenet_weights()
    assert EfficientNetLite0().state_dict().keys() == published.keys()
    loaded = EfficientNetLite0().load().state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in published.items())


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (33, 50)])
def test_maps_have_the_stated_channels_and_strides(network, size):
    images = torch.rand(2, 3, *size) * 2 - 1
    maps = network.stages(images)
    expected = zip(network.channels, network.strides, strict=True)
    assert [tuple(m.shape) for m in maps] == [
        (2, channels, *(-(-side // stride) for side in size)) for channels, stride in expected
    ]
    assert torch.equal(network.stages(images, num_stages=2)[1], maps[1])
    assert len(network.stages(images, num_stages=2)) == 2


def test_maps_feed_features_and_features_feed_logits(network):
    images = picture("cat", 64)
    features = network.features(images)
    assert features.shape == (1, network.num_features)
    assert torch.equal(network.logits(features), network(images))
    assert network(images).shape == (1, network.num_classes)


def test_grey_images_are_repeated_and_other_channels_are_refused(network):
    grey = picture("cat", 32)[:, :1]
    assert torch.equal(network(grey), network(grey.expand(-1, 3, -1, -1)))
    with pytest.raises(ValueError, match="1 or 3 channels, not 4"):
        network(torch.zeros(1, 4, 32, 32))
    with pytest.raises(
        ValueError, match=r"^network=x takes images of 1 or 3 .* 2: choose another"
    ):
        EfficientNetLite0.check_channels(2, user="network=x", advice="choose another.")
    assert all(EfficientNetLite0.check_channels(n, user="") is None for n in (1, 3))


@pytest.mark.parametrize(("size", "stride", "kernel_size"), [(8, 2, 3), (7, 2, 3), (9, 2, 5)])
def test_padding_is_larger_at_the_end_if_it_is_odd(size, stride, kernel_size):
    """A kernel of ones counts the places inside the image."""
    conv = _SameConv(1, 1, kernel_size=kernel_size, stride=stride)
    torch.nn.init.ones_(conv.weight)
    with torch.no_grad():
        counts = conv(torch.ones(1, 1, size, 1))[0, 0, :, 0].tolist()
    num = -(-size // stride)
    first = -(max((num - 1) * stride + kernel_size - size, 0) // 2)
    expected = [
        sum(0 <= first + stride * i + j < size for j in range(kernel_size)) for i in range(num)
    ]
    assert counts == expected


def test_construction_draws_no_random_numbers():
    torch.manual_seed(0)
    expected = torch.rand(())
    torch.manual_seed(0)
    EfficientNetLite0()
    assert torch.rand(()) == expected


def test_folded_network_computes_the_same_maps_without_batch_norm(network):
    folded = EfficientNetLite0().load().fold_norms()
    images = torch.rand(2, 3, 40, 56) * 2 - 1
    with torch.no_grad():
        for one, other in zip(network.stages(images), folded.stages(images), strict=True):
            assert torch.allclose(one, other, atol=1e-3 * one.std())
    in_stages = [folded._bn0, *folded._blocks.modules()]
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in in_stages)
