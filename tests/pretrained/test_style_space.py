"""Truncation and means of styles, where the closed forms of a linear generator are known."""

import numpy as np
import pytest
import torch

from limner.pretrained.style_space import NUM_CODES, StyleSpace, style_generator
from limner.randomness import generator_for
from support.style_models import LATENT, NOISE, StyleModel, TextStyleModel, style_model


def images_of(model, psi, num_images=6):
    """Return the images of a seed in [-1, 1] with the truncation psi, and without rounding."""
    codes, labels = model._draws.codes(3, 0)
    labels = None if labels is None else labels[:num_images]
    return model._draws.images(codes[:num_images], labels, truncation=psi)


def test_mean_and_spread_are_those_of_4096_styles():
    module = StyleModel()
    space = StyleSpace(module)
    z = torch.randn(NUM_CODES, LATENT, generator=generator_for(0, "styles"))
    w = module.generator.styles(z)
    assert torch.allclose(space.mean(None), w.mean(0, keepdim=True), atol=1e-6)
    assert torch.allclose(space.spread(None), w.var(0, correction=0).sum().sqrt(), atol=1e-5)


def test_classes_have_means_of_their_own_in_the_order_of_the_labels():
    module = StyleModel(num_classes=3)
    space = StyleSpace(module)
    means = space.mean(torch.tensor([2, 0, 2]))
    vectors = module.generator.classes.weight
    assert torch.equal(means[0], means[2])
    assert torch.allclose(means[0] - means[1], vectors[2] - vectors[0], atol=1e-6)


@pytest.mark.parametrize("num_classes", [None, 3])
def test_truncation_moves_styles_and_noise_in_proportion(num_classes):
    model = style_model(num_classes)
    none, half, whole = (images_of(model, psi) for psi in (0.0, 0.5, 1.0))
    assert torch.allclose(half, (none + whole) / 2, atol=1e-6)
    assert torch.allclose(whole, images_of(model, None), atol=1e-6)
    assert not torch.allclose(half, whole, atol=1e-2)


@pytest.mark.parametrize("num_classes", [None, 3])
def test_truncation_0_gives_one_picture_for_each_class(num_classes):
    model = style_model(num_classes)
    images = images_of(model, 0.0)
    assert torch.isfinite(images).all()
    if num_classes is None:
        assert torch.allclose(images, images[:1].expand_as(images), atol=1e-6)
        assert np.ptp(model.sample(70, truncation=0.0), axis=0).max() == 0
        return
    labels = [0, 1, 2, 0, 1, 2]
    drawn = model.sample(6, labels=labels, truncation=0.0)
    assert np.array_equal(drawn[:3], drawn[3:])
    assert not np.array_equal(drawn[0], drawn[1])


def test_truncation_of_styles_is_not_that_of_codes():
    model = style_model()
    z = model.latents(4, seed=1)
    truncated = model.decode(z, truncation=0.5)
    assert not np.array_equal(truncated, model.decode(0.5 * z))
    w = model.styles.of(z, truncation=0.5)
    assert np.array_equal(truncated, model.styles.paint(w))


def test_samples_have_the_noise_of_the_models_own_sample():
    model = style_model(num_classes=3)
    own = model.module.sample(64, generator=generator_for(5, "samples", 0))
    drawn = images_of(model, None, num_images=64)
    assert torch.allclose(model._draws.images(*model._draws.codes(5, 0), truncation=None), own)
    assert not torch.allclose(drawn, own)
    codes, _ = model._draws.codes(5, 0)
    assert codes.shape[1] == LATENT + NOISE + 1
    assert model.latents(70, seed=5).shape == (70, LATENT)
    assert np.array_equal(model.latents(70, seed=5)[:64], codes[:, :LATENT].numpy())


def test_style_generator_is_the_averaged_one_and_absent_elsewhere():
    module = StyleModel()
    assert style_generator(module) is module.generator
    module.ema = torch.nn.Module()
    module.ema.network = other = StyleModel().generator
    assert style_generator(module) is other
    module.ema = None
    module.generator = torch.nn.Linear(2, 2)
    assert style_generator(module) is None
    assert style_generator(torch.nn.Linear(2, 2)) is None


@pytest.mark.parametrize("augmentation_weight", [None, 1.0])
def test_styles_of_texts_are_those_that_the_generator_paints(augmentation_weight):
    module = TextStyleModel(augmentation_weight).eval()
    space, codes, texts = StyleSpace(module), torch.randn(4, LATENT), module.captions[[0, 1, 1, 2]]
    with torch.no_grad():
        painted = space.generator.paint(space.codes(codes, texts))
    assert torch.allclose(painted, module.generate(codes, texts), atol=1e-6)
    none = space.images(codes, texts, 0.0)
    assert torch.allclose(none[1], none[2], atol=1e-6)
    assert not torch.allclose(none[0], none[1], atol=1e-2)
    many = torch.randn(2000, LATENT)
    mean = space.codes(many, texts[:1]).mean(0)
    assert torch.allclose(space.mean(texts[:1])[0], mean, atol=0.1), "one text for all codes"
