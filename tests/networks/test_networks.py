"""Every network takes any image shape, and gradient reaches every parameter."""

import pytest
import torch

from limner.networks import cnn, conv, dcgan, mlp
from limner.networks.shapes import crop, halvings, pad

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 40, 56), (4, 64, 64), (2, 33, 17)]
DIM, BATCH = 5, 3
NARROW = {"width": 8, "max_width": 16}


def gradient_reaches_all(network, *outputs):
    sum(output.square().sum() for output in outputs).backward()
    missing = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not missing


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("module", [dcgan, mlp])
def test_generators(module, shape):
    size = {"hidden_dims": [16, 16]} if module is mlp else NARROW
    network = module.Generator(latent_dim=DIM, image_shape=shape, **size)
    images = network(torch.randn(BATCH, DIM))
    assert images.shape == (BATCH, *shape)
    assert images.abs().max() <= 1
    gradient_reaches_all(network, images)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_dcgan_discriminators(shape, norm):
    network = dcgan.Discriminator(image_shape=shape, norm=norm, **NARROW)
    logits = network(torch.randn(BATCH, *shape))
    assert logits.shape == (BATCH,)
    gradient_reaches_all(network, logits)


@pytest.mark.parametrize("shape", SHAPES)
def test_mlp_discriminators(shape):
    network = mlp.Discriminator(image_shape=shape, hidden_dims=[16, 16])
    logits = network(torch.randn(BATCH, *shape))
    assert logits.shape == (BATCH,)
    gradient_reaches_all(network, logits)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("module", [conv, mlp])
def test_encoders_and_decoders(module, shape):
    size = {"hidden_dims": [16, 16]} if module is mlp else NARROW
    encoder = module.Encoder(latent_dim=DIM, image_shape=shape, **size)
    decoder = module.Decoder(latent_dim=DIM, image_shape=shape, **size)
    mean, logvar = encoder(torch.randn(BATCH, *shape))
    assert mean.shape == logvar.shape == (BATCH, DIM)
    gradient_reaches_all(encoder, mean, logvar)
    params = decoder(torch.randn(BATCH, DIM))
    assert params.shape == (BATCH, *shape)
    gradient_reaches_all(decoder, params)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("module", [cnn, mlp])
def test_classifiers(module, shape):
    size = {"hidden_dims": [16, 7]} if module is mlp else {**NARROW, "num_features": 7}
    network = module.Classifier(image_shape=shape, num_classes=10, **size)
    images = torch.randn(BATCH, *shape)
    assert network.num_features == 7
    assert network.features(images).shape == (BATCH, 7)
    logits = network(images)
    assert logits.shape == (BATCH, 10)
    gradient_reaches_all(network, logits)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(3, 256, 256)])
def test_large_images(shape):
    images = dcgan.Generator(latent_dim=DIM, image_shape=shape, **NARROW)(torch.randn(2, DIM))
    assert images.shape == (2, *shape)
    assert dcgan.Discriminator(image_shape=shape, norm="batch", **NARROW)(images).shape == (2,)
    mean, _ = conv.Encoder(latent_dim=DIM, image_shape=shape, **NARROW)(images)
    assert conv.Decoder(latent_dim=DIM, image_shape=shape, **NARROW)(mean).shape == (2, *shape)


def test_a_discriminator_that_norms_by_image_does_not_mix_the_batch():
    network = dcgan.Discriminator(image_shape=(1, 28, 28), norm="layer", **NARROW)
    images = torch.randn(4, 1, 28, 28)
    assert torch.allclose(network(images)[:2], network(images[:2]), atol=1e-5)


@pytest.mark.parametrize(("size", "n"), [(8, 1), (15, 1), (16, 2), (28, 2), (32, 3), (256, 6)])
def test_halvings_leave_four_pixels_or_more(size, n):
    assert halvings((1, size, size)) == n


def test_a_small_image_is_refused():
    with pytest.raises(ValueError, match="must be 8 pixels or more"):
        halvings((3, 64, 7))


@pytest.mark.parametrize("shape", SHAPES)
def test_crop_undoes_pad(shape):
    images = torch.randn(2, *shape)
    padded = pad(images, shape)
    assert all(size % 2 ** halvings(shape) == 0 for size in padded.shape[2:])
    assert torch.equal(crop(padded, shape), images)
