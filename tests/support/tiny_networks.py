"""Networks of every kind, a few channels wide, with labels of three classes."""

import torch

from limner.networks import conv, dcgan, mlp, r3gan, resnet, stylegan2

GAN_MODULES = {
    "dcgan": dcgan, "mlp": mlp, "r3gan": r3gan, "resnet": resnet, "stylegan2": stylegan2,
}  # fmt: skip
VAE_MODULES = {"conv": conv, "mlp": mlp}
SIZES = {
    "dcgan": {"width": 8, "max_width": 16},
    "conv": {"width": 8, "max_width": 16},
    "r3gan": {
        "width": 4, "max_width": 8, "num_blocks": 1, "expansion": 2, "group_size": 4,
        "half_precision_stages": 1,
    },
    "resnet": {"width": 6, "max_width": 8},
    "mlp": {"hidden_dims": [16, 12]},
    "stylegan2": {
        "width": 6, "max_width": 8, "num_mapping_layers": 2, "mapping_multiplier": 0.01,
    },
}  # fmt: skip
DIM, CLASSES = 5, 3


def generator(name, shape, condition="none", **more):
    """Return a generator of codes of 5 numbers, with 3 classes unless the condition is none."""
    num_classes = None if condition == "none" else CLASSES
    options = {"num_classes": num_classes, "condition": condition, **SIZES[name]}
    if name == "stylegan2":
        options |= {"style_dim": 7, "mixing": 0.9, "noise": True}
    return GAN_MODULES[name].Generator(latent_dim=DIM, image_shape=shape, **(options | more))


def discriminator(name, shape, condition="none", *, norm="none", **more):
    """Return a discriminator without a norm, with 3 classes unless the condition is none."""
    num_classes = None if condition == "none" else CLASSES
    options = {"num_classes": num_classes, "condition": condition}
    if name == "stylegan2":
        options |= {"residual": True, "group_size": 2}
    elif name != "r3gan":
        options["spectral_norm"] = False
    if name not in ("mlp", "r3gan", "stylegan2"):
        options["norm"] = norm
    if name == "resnet":
        options |= {"smallest": 7, "num_flat_blocks": 2}
    return GAN_MODULES[name].Discriminator(image_shape=shape, **(options | SIZES[name] | more))


def autoencoder(name, shape, num_classes=None):
    """Return an encoder and a decoder of codes of 5 numbers."""
    more = {"latent_dim": DIM, "image_shape": shape, "num_classes": num_classes, **SIZES[name]}
    return VAE_MODULES[name].Encoder(**more), VAE_MODULES[name].Decoder(**more, params_per_value=1)


def gradient_reaches_all(network, *outputs):
    """Assert that each parameter has an influence on the outputs."""
    sum(output.square().sum() for output in outputs).backward()
    missing = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not missing


def shaken(network):
    """Add noise to the parameters, since some are exactly 0 or 1, and return the network."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return network
