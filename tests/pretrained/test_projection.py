"""The style of a picture is found where a picture has one."""

import math

import pytest
import torch

from limner.errors import UserError
from limner.pretrained import projection
from limner.pretrained.projection import perceptual_distance, project
from limner.pretrained.style_space import StyleSpace
from support.style_models import STYLE, StyleModel, TextStyleModel


def squared(images, others):
    """Return a distance that is quick to compute, (B,)."""
    return (images - others).square().mean((1, 2, 3))


def painted(space, w):
    with torch.no_grad():
        return space.generator.paint(w)


def test_projection_of_an_image_of_the_model_finds_this_image():
    space = StyleSpace(StyleModel())
    pictures = painted(space, 2 * torch.randn(3, STYLE))
    w = project(space, pictures, None, distance=squared, num_updates=200, lr=0.1)
    start = squared(painted(space, space.mean(None)), pictures)
    assert w.shape == (3, STYLE)
    assert not w.requires_grad
    assert (squared(painted(space, w), pictures) < 0.02 * start).all()


def test_projection_leaves_the_model_as_it_is():
    module = StyleModel()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    space = StyleSpace(module)
    project(space, torch.rand(1, 1, 4, 4), None, distance=squared, num_updates=3, lr=0.1)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_projection_of_a_picture_does_not_depend_on_the_other_pictures():
    space, pictures = StyleSpace(StyleModel(num_classes=3)), torch.rand(3, 1, 4, 4)
    labels = torch.tensor([0, 2, 1])
    of = {"distance": squared, "num_updates": 20, "lr": 0.1}
    several = project(space, pictures, labels, **of)
    assert torch.allclose(several[:1], project(space, pictures[:1], labels[:1], **of), atol=1e-5)


def test_projection_starts_from_the_mean_of_its_class_or_text():
    space, pictures = StyleSpace(StyleModel(num_classes=3)), torch.rand(2, 1, 4, 4)
    none = project(space, pictures, torch.tensor([1, 2]), distance=squared, num_updates=0, lr=0.1)
    assert torch.equal(none, space.mean(torch.tensor([1, 2])))
    space = StyleSpace(TextStyleModel(1.0))
    texts = torch.tensor([[1, 2], [1, 2]])
    found = project(space, pictures, texts, distance=squared, num_updates=0, lr=0.1)
    assert torch.equal(found, space.mean(texts))


def test_rate_and_noise_follow_the_schedules_of_the_paper():
    assert [projection._rate(x) for x in (0.0, 0.025, 0.05, 0.5, 0.75, 0.875, 1.0)] == (
        pytest.approx([0, 0.5, 1, 1, 1, 0.5, 0])
    )
    noise = [projection._noise_level(x) for x in (0.0, 0.375, 0.75, 1.0)]
    assert noise == pytest.approx([0.05, 0.0125, 0, 0])


def test_large_images_are_compared_by_means_of_blocks():
    images = torch.rand(1, 1, 300, 600)
    reduced = projection._reduced(images)
    assert reduced.shape == (1, 1, 100, 200)
    assert torch.allclose(reduced[0, 0, 0, 0], images[0, 0, :3, :3].mean())
    assert projection._reduced(images[..., :200, :256]).shape[2:] == (200, 256)


def test_perceptual_distance_is_0_for_equal_images_and_refuses_two_channels():
    distance = perceptual_distance(3)
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    assert distance(images, images).abs().max() < 1e-6
    far = distance(images, -images)
    assert (far > 0.01).all()
    assert math.isfinite(far.sum())
    with pytest.raises(UserError, match="1 or 3 channels, not 2"):
        perceptual_distance(2)
