"""Every network accepts any image shape, and gradients reach every parameter."""

import pytest
import torch

from limner.networks import cnn, mlp
from support.tiny_networks import (
    DIM,
    SIZES,
    autoencoder,
    discriminator,
    generator,
    gradient_reaches_all,
)

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 40, 56), (4, 64, 64), (2, 33, 17)]
BATCH = 3


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["dcgan", "mlp", "resnet", "stylegan2"])
def test_generators_accept_any_image_shape(name, shape):
    network = generator(name, shape)
    z = torch.randn(BATCH, DIM + getattr(network, "num_draws", 0))
    images = network(z)
    assert images.shape == (BATCH, *shape)
    assert images.abs().max() <= 1 or name == "stylegan2"
    # In training, a norm removes the effect of some biases.
    gradient_reaches_all(network, network.eval()(z))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("name", ["dcgan", "resnet", "stylegan2"])
def test_convolutional_discriminators_accept_any_image_shape(name, shape, norm):
    network, images = discriminator(name, shape, norm=norm), torch.randn(BATCH, *shape)
    assert network(images).shape == (BATCH,)
    gradient_reaches_all(network, network.eval()(images))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("hidden_dims", [[16, 16], []])
def test_mlp_discriminators_accept_any_image_shape(shape, hidden_dims):
    network = discriminator("mlp", shape, hidden_dims=hidden_dims)
    logits = network(torch.randn(BATCH, *shape))
    assert logits.shape == (BATCH,)
    gradient_reaches_all(network, logits)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["conv", "mlp"])
def test_encoders_and_decoders_accept_any_image_shape(name, shape):
    encoder, decoder = autoencoder(name, shape)
    mean, logvar = encoder(torch.randn(BATCH, *shape))
    assert mean.shape == logvar.shape == (BATCH, DIM)
    gradient_reaches_all(encoder, mean, logvar)
    params = decoder(torch.randn(BATCH, DIM))
    assert params.shape == (BATCH, *shape)
    gradient_reaches_all(decoder, params)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("module", [cnn, mlp])
def test_classifiers_accept_any_image_shape(module, shape):
    size = {"hidden_dims": [16, 7]} if module is mlp else {**SIZES["conv"], "num_features": 7}
    network = module.Classifier(image_shape=shape, num_classes=10, **size)
    images = torch.randn(BATCH, *shape)
    assert network.num_features == 7
    assert network.features(images).shape == (BATCH, 7)
    logits = network(images)
    assert logits.shape == (BATCH, 10)
    gradient_reaches_all(network, logits)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(3, 256, 256)])
@pytest.mark.parametrize("name", ["dcgan", "resnet", "stylegan2"])
def test_networks_accept_large_images(name, shape):
    images = generator(name, shape)(torch.randn(2, DIM))
    assert images.shape == (2, *shape)
    assert discriminator(name, shape)(images).shape == (2,)
    encoder, decoder = autoencoder("conv", shape)
    assert decoder(encoder(images)[0]).shape == (2, *shape)


@pytest.mark.parametrize("norm", ["layer", "none"])
@pytest.mark.parametrize("name", ["dcgan", "resnet"])
def test_discriminator_without_batch_norm_does_not_mix_the_batch(name, norm):
    network = discriminator(name, (1, 28, 28), norm=norm)
    images = torch.randn(4, 1, 28, 28)
    assert torch.allclose(network(images)[:2], network(images[:2]), atol=1e-5)


@pytest.mark.parametrize("name", ["dcgan", "resnet", "stylegan2"])
def test_channels_last_changes_only_the_memory_order(name):
    """Each layer keeps the order, so that no image is copied back and forth."""
    condition = "concat" if name == "stylegan2" else "batch_norm"
    networks = generator(name, (3, 32, 32), condition), discriminator(name, (3, 32, 32))
    orders = []
    for network, entry in zip(
        networks, (torch.randn(2, DIM), torch.randn(2, 3, 32, 32)), strict=True
    ):
        labels = torch.tensor([0, 1])
        before = network.eval()(entry, labels)
        network.to(memory_format=torch.channels_last)
        if entry.ndim == 4:
            entry = entry.to(memory_format=torch.channels_last)
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                layer.register_forward_hook(
                    lambda layer, args, out: orders.append(
                        out.is_contiguous(memory_format=torch.channels_last)
                    )
                )
        assert torch.allclose(network(entry, labels), before, atol=1e-5)
    assert all(orders)
