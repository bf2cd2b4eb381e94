"""The perceptual distance grows with noise and blur, and does not depend on the batch."""

import copy
import itertools

import pytest
import torch
from torch import nn
from torchvision.transforms.functional import gaussian_blur

from limner.losses.perceptual import PerceptualDistance, gram
from limner.networks.efficientnet_lite import EfficientNetLite0
from support.photos import photos


def distance(stage_weights=(1.0, 1.0, 1.0, 0.0), min_size=32) -> PerceptualDistance:
    return PerceptualDistance(
        network=EfficientNetLite0(), stage_weights=stage_weights, min_size=min_size
    )


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return photos(8, size=32).float() / 127.5 - 1


def grows(values: list[torch.Tensor]) -> bool:
    return all((small < large).all() for small, large in itertools.pairwise(values))


@pytest.mark.parametrize("name", ["__call__", "style"])
def test_distance_is_0_for_equal_images_and_grows_with_noise_and_blur(images, name):
    measure = getattr(distance(), name)
    noise = torch.randn(images.shape)
    noisy = [measure(images, images + sigma / 127.5 * noise) for sigma in (0, 4, 16, 64)]
    assert (noisy[0] == 0).all()
    assert grows(noisy)
    blurred = [measure(images, gaussian_blur(images, 13, [s, s])).mean() for s in (0.5, 1, 2, 4)]
    assert grows(blurred)


def test_distance_is_symmetric_and_bounded_like_a_squared_error(images):
    measure, others = distance(), images.flip(0)
    assert torch.equal(measure(images, others), measure(others, images))
    assert 0.5 < measure(images, others).mean() < 4


def test_distance_of_an_image_does_not_depend_on_the_batch(images):
    measure, others = distance(), images.flip(0)
    alone = torch.cat([measure(images[i : i + 1], others[i : i + 1]) for i in range(8)])
    assert torch.allclose(measure(images, others), alone, rtol=1e-4)


def test_style_ignores_the_order_of_places_and_content_does_not():
    """Without a kernel larger than a pixel, the maps of shuffled pixels are shuffled maps."""
    measure = PerceptualDistance(network=Pixels(), stage_weights=[1.0], min_size=1)
    images = torch.rand(2, 3, 8, 8)
    shuffled = images.flatten(2)[:, :, torch.randperm(64)].unflatten(2, (8, 8))
    assert (measure(images, shuffled) > 0.01).all()
    assert measure.style(images, shuffled).allclose(torch.zeros(2), atol=1e-6)
    assert measure.style(images, images[..., :4]).shape == (2,)


def test_gram_is_the_mean_product_of_channels():
    maps = torch.rand(2, 3, 4, 5)
    expected = torch.einsum("bchw,bdhw->bcd", maps, maps) / 20
    assert gram(maps).allclose(expected)


def test_gradient_flows_to_the_images_and_not_to_the_network(images):
    measure = distance()
    changed = (images + 0.1 * torch.randn(images.shape)).requires_grad_()
    measure(changed, images).sum().backward()
    assert (changed.grad.flatten(1).norm(dim=1) > 0).all()
    assert not any(p.requires_grad or p.grad is not None for p in measure._network.parameters())
    assert not measure._network.training


def test_small_images_are_enlarged_by_a_whole_factor(images):
    small, others = images[:, :1, :12, :20], images[:, :1, 12:24, :20]
    large, larger = (x.repeat_interleave(3, 2).repeat_interleave(3, 3) for x in (small, others))
    found = distance()(small, others)
    assert (found > 0).all()
    assert torch.allclose(found, distance()(large, larger))


def test_a_copy_shares_the_network():
    measure = distance()
    assert copy.deepcopy(nn.ModuleDict({"a": Holder(measure)}))["a"].distance is measure


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage_weights": [1.0]}, "EfficientNetLite0 has 4 stages, so 4 weights"),
        ({"stage_weights": [1.0, 0.0, -1.0, 0.0]}, "must be 0 or more"),
        ({"stage_weights": [0.0] * 4}, "one above 0"),
        ({"min_size": 0}, "must be 1 or more"),
    ],
)
def test_invalid_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        distance(**changes)


class Holder(nn.Module):
    """A part of a model with a distance."""

    def __init__(self, measure):
        super().__init__()
        self.distance = measure


class Pixels(nn.Module):
    """A network with one stage, the image itself."""

    channels, weights_sha256 = (3,), "0"

    def load(self):
        return self

    def stages(self, images, *, num_stages):
        return [images]
