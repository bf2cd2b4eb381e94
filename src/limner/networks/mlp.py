"""Multi-layer perceptrons, which read and write an image of any size as one vector."""

__all__ = ["Classifier", "Decoder", "Discriminator", "Encoder", "Generator"]

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limner.networks.conditions import (
    DISCRIMINATOR_CONDITIONS,
    ClassCode,
    ClassMap,
    Head,
    check_classes,
    check_condition,
)
from limner.networks.normalisation import normalise_spectra


class Generator(nn.Module):
    """Generator from z (B, latent_dim) to images (B, C, H, W) in [-1, 1].

    A conditional generator takes labels (B,) as well.

    Args:
        latent_dim: Size of z.
        image_shape: Shape (C, H, W) of an image.
        hidden_dims: Width of each hidden layer; a leaky ReLU follows each layer.
        num_classes: Number of classes; None for an unconditional network.
        condition: "none" or "concat", see `limner.networks.conditions`.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        image_shape: Sequence[int],
        hidden_dims: Sequence[int],
        num_classes: int | None,
        condition: str,
    ) -> None:
        super().__init__()
        check_condition(
            "generator", condition, num_classes=num_classes, fitting=("none", "concat")
        )
        self.code = ClassCode(latent_dim, num_classes if condition == "concat" else None)
        sizes = [self.code.num_outputs, *hidden_dims, math.prod(image_shape)]
        self.layers = _perceptron(sizes, nn.LeakyReLU(0.2))
        self.image_shape = tuple(image_shape)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1]."""
        return torch.tanh(self.layers(self.code(z, labels))).unflatten(1, self.image_shape)


class Discriminator(nn.Module):
    """Discriminator from images (B, C, H, W) to logits (B,), large for real images.

    A conditional discriminator takes labels (B,) as well. With the condition "auxiliary" it
    returns (B, 1 + num_classes): the logit of "real" first, then the logits of the classes.

    Args:
        image_shape: Shape (C, H, W) of an image.
        hidden_dims: Width of each hidden layer; a leaky ReLU follows each layer.
        spectral_norm: Whether to divide every weight by its largest singular value, see
            `limner.networks.normalisation`.
        num_classes: Number of classes; None for an unconditional network.
        condition: "none", "concat", "projection" or "auxiliary", see `limner.networks.conditions`.
    """

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        hidden_dims: Sequence[int],
        spectral_norm: bool,
        num_classes: int | None,
        condition: str,
    ) -> None:
        super().__init__()
        check_condition(
            "discriminator", condition, num_classes=num_classes, fitting=DISCRIMINATOR_CONDITIONS
        )
        self.map = ClassMap(image_shape, num_classes if condition == "concat" else None)
        sizes = [self.map.num_channels * math.prod(image_shape[1:]), *hidden_dims]
        self.layers = _hidden(sizes, nn.LeakyReLU(0.2))
        self.classify = Head(sizes[-1], num_classes=num_classes, condition=condition)
        if spectral_norm:
            normalise_spectra(self)

    def features(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the features (B, hidden_dims[-1]) that the last layer reads."""
        return self.layers(self.map(images, labels).flatten(1))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (B,), or (B, 1 + num_classes) if D predicts classes."""
        return self.classify(self.features(images, labels), labels)


class Encoder(nn.Module):
    """Encoder from images (B, C, H, W) to mean and logvar (B, latent_dim) of q(z | x).

    A conditional encoder takes labels y (B,) as well, and describes q(z | x, y).

    Args:
        latent_dim: Size of z.
        image_shape: Shape (C, H, W) of an image.
        hidden_dims: Width of each hidden layer; a SiLU follows each layer.
        num_classes: Number of classes; a learned map of the class joins the image. None for an
            unconditional network.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        image_shape: Sequence[int],
        hidden_dims: Sequence[int],
        num_classes: int | None,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        self.map = ClassMap(image_shape, num_classes)
        num_inputs = self.map.num_channels * math.prod(image_shape[1:])
        self.layers = _perceptron([num_inputs, *hidden_dims, 2 * latent_dim], nn.SiLU())

    def forward(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and logvar, each (B, latent_dim)."""
        mean, logvar = self.layers(self.map(images, labels).flatten(1)).chunk(2, dim=1)
        return mean, logvar


class Decoder(nn.Module):
    """Decoder from z (B, latent_dim) to the unbounded parameters of p(x | z).

    The parameters are (B, C * params_per_value, H, W). A conditional decoder takes labels y (B,)
    as well, and describes p(x | z, y).

    Args:
        latent_dim: Size of z.
        image_shape: Shape (C, H, W) of an image.
        params_per_value: Number of parameters that the likelihood needs for each value, such as
            3 for each logistic of a mixture.
        hidden_dims: Width of each hidden layer; a SiLU follows each layer.
        num_classes: Number of classes; an embedding of the class joins z. None for an
            unconditional network.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        image_shape: Sequence[int],
        params_per_value: int,
        hidden_dims: Sequence[int],
        num_classes: int | None,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        self.code = ClassCode(latent_dim, num_classes)
        self.params_shape = (image_shape[0] * params_per_value, *image_shape[1:])
        sizes = [self.code.num_outputs, *hidden_dims, math.prod(self.params_shape)]
        self.layers = _perceptron(sizes, nn.SiLU())

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the parameters (B, C * params_per_value, H, W)."""
        return self.layers(self.code(z, labels)).unflatten(1, self.params_shape)


class Classifier(nn.Module):
    """Classifier from images (B, C, H, W) to logits (B, num_classes).

    Args:
        image_shape: Shape (C, H, W) of an image.
        num_classes: Number of classes, at least 2.
        hidden_dims: Width of each hidden layer; a SiLU follows each layer. The last hidden
            layer holds the features.
    """

    def __init__(
        self, *, image_shape: Sequence[int], num_classes: int, hidden_dims: Sequence[int]
    ) -> None:
        super().__init__()
        sizes = [math.prod(image_shape), *hidden_dims]
        self.body = nn.Sequential(nn.Flatten(), _hidden(sizes, nn.SiLU()))
        self.head = nn.Linear(hidden_dims[-1], num_classes)
        self.num_features = hidden_dims[-1]

    def features(self, images: Tensor) -> Tensor:
        """Return the last hidden layer (B, num_features)."""
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, num_classes)."""
        return self.head(self.features(images))


def _perceptron(sizes: Sequence[int], activation: nn.Module) -> nn.Sequential:
    """Return linear layers of the given sizes, with the activation between them."""
    return _hidden(sizes, activation)[:-1]


def _hidden(sizes: Sequence[int], activation: nn.Module) -> nn.Sequential:
    """Return linear layers of the given sizes, with the activation after each."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), activation]
    return nn.Sequential(*layers)
