"""Deep convolutional GAN of Radford, Metz and Chintala (2016), https://arxiv.org/abs/1511.06434.

The generator projects z to a 4x4 map. Fractionally strided 4x4 convolutions with batch norm and
ReLU double the size of the map, and tanh follows the last convolution. The discriminator mirrors
the generator with strided convolutions and leaky ReLU. For sizes other than 4 * 2^n the map is a
little larger, and the image is the centre of the last map.
"""

__all__ = ["Discriminator", "Generator"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limner.networks.conditions import (
    DISCRIMINATOR_CONDITIONS,
    GENERATOR_CONDITIONS,
    ClassCode,
    ClassMap,
    ConditionalBatchNorm2d,
    Head,
    Labelled,
    batch_norm,
    check_condition,
)
from limner.networks.normalisation import check_norm, norm_layer, normalise_spectra
from limner.networks.resolution import crop, pad, pyramid


class Generator(nn.Module):
    """Generator from z (B, latent_dim) to images (B, C, H, W) in [-1, 1].

    A conditional generator takes labels (B,) as well.

    Args:
        latent_dim: Size of z.
        image_shape: Shape (C, H, W) of an image.
        width: Number of channels of the finest level. Each coarser level has twice as many, up
            to `max_width`.
        max_width: Largest number of channels of a level.
        num_classes: Number of classes; None for an unconditional network.
        condition: "none", "concat" or "batch_norm", see `limner.networks.conditions`.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        image_shape: Sequence[int],
        width: int,
        max_width: int,
        num_classes: int | None,
        condition: str,
    ) -> None:
        super().__init__()
        check_condition(
            "generator", condition, num_classes=num_classes, fitting=GENERATOR_CONDITIONS
        )
        self.image_shape = tuple(image_shape)
        channels, height, width_ = pyramid(image_shape, width, max_width)
        self.coarsest = (channels[-1], height, width_)
        self.code = ClassCode(latent_dim, num_classes if condition == "concat" else None)
        self.project = nn.Linear(self.code.num_outputs, channels[-1] * height * width_, bias=False)
        normed = num_classes if condition == "batch_norm" else None
        layers: list[nn.Module] = [batch_norm(channels[-1], normed), nn.ReLU()]
        for coarse, fine in zip(channels[:0:-1], channels[-2::-1], strict=True):
            layers += [
                nn.ConvTranspose2d(coarse, fine, 4, stride=2, padding=1, bias=False),
                batch_norm(fine, normed),
                nn.ReLU(),
            ]
        layers += [nn.ConvTranspose2d(channels[0], image_shape[0], 4, stride=2, padding=1)]
        self.layers = Labelled(*layers)
        self.apply(_init)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1]."""
        coarse = self.project(self.code(z, labels)).unflatten(1, self.coarsest)
        return torch.tanh(crop(self.layers(coarse, labels), self.image_shape))


class Discriminator(nn.Module):
    """Discriminator from images (B, C, H, W) in [-1, 1] to logits (B,), large for real images.

    A conditional discriminator takes labels (B,) as well. With the condition "auxiliary" it
    returns (B, 1 + num_classes): the logit of "real" first, then the logits of the classes.

    Args:
        image_shape: Shape (C, H, W) of an image.
        width: Number of channels of the finest level. Each coarser level has twice as many, up
            to `max_width`.
        max_width: Largest number of channels of a level.
        norm: "batch", "layer" or "none", after every convolution but the first. A gradient
            penalty needs a norm that does not mix the images of a batch: "layer" or "none".
        spectral_norm: Whether to divide every weight by its largest singular value, see
            `limner.networks.normalisation`.
        num_classes: Number of classes; None for an unconditional network.
        condition: "none", "concat", "projection" or "auxiliary", see `limner.networks.conditions`.
    """

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        width: int,
        max_width: int,
        norm: str,
        spectral_norm: bool,
        num_classes: int | None,
        condition: str,
    ) -> None:
        super().__init__()
        check_condition(
            "discriminator", condition, num_classes=num_classes, fitting=DISCRIMINATOR_CONDITIONS
        )
        check_norm(norm)
        self.map = ClassMap(image_shape, num_classes if condition == "concat" else None)
        channels, height, width_ = pyramid(image_shape, width, max_width)
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(
            zip([self.map.num_channels, *channels], channels, strict=False)
        ):
            normed = norm_layer("none" if level == 0 else norm, after)
            has_bias = isinstance(normed, nn.Identity)
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1, bias=has_bias)]
            layers += [normed, nn.LeakyReLU(0.2)]
        self.image_shape = tuple(image_shape)
        self.layers = nn.Sequential(*layers)
        num_features = channels[-1] * height * width_
        self.classify = Head(num_features, num_classes=num_classes, condition=condition)
        self.apply(_init)
        if spectral_norm:
            normalise_spectra(self)

    def features(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the features (B, num_features) that the last layer reads."""
        return self.layers(pad(self.map(images, labels), self.image_shape)).flatten(1)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (B,), or (B, 1 + num_classes) if D predicts classes."""
        return self.classify(self.features(images, labels), labels)


def _init(module: nn.Module) -> None:
    """Draw weights from N(0, 0.02^2), as in section 4 of the paper."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d) and module.affine:
        nn.init.normal_(module.weight, 1.0, 0.02)
    elif isinstance(module, ConditionalBatchNorm2d):
        nn.init.normal_(module.scale.weight, 1.0, 0.02)
