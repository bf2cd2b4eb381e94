"""Multi-layer perceptrons: images as flat vectors, any size."""

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
    """z (B, latent_dim), and labels (B,) if conditional, to images (B, C, H, W) in [-1, 1].

    Args:
        latent_dim: Size of z.
        image_shape: (C, H, W).
        hidden_dims: Width of each hidden layer; leaky ReLU follows each.
        num_classes: How many classes there are; None without.
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
        return torch.tanh(self.layers(self.code(z, labels))).unflatten(1, self.image_shape)


class Discriminator(nn.Module):
    """Images (B, C, H, W), and labels (B,) if conditional, to logits (B,).

    They are large for real images. With the condition "auxiliary" logits are (B, 1 + num_classes),
    and the classes follow.

    Args:
        image_shape: (C, H, W).
        hidden_dims: Width of each hidden layer; leaky ReLU follows each.
        spectral_norm: Whether every weight is divided by its largest singular value, as in
            `limner.networks.normalisation`.
        num_classes: How many classes there are; None without.
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
        """What the head judges by, (B, hidden_dims[-1])."""
        return self.layers(self.map(images, labels).flatten(1))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.classify(self.features(images, labels), labels)


class Encoder(nn.Module):
    """Images (B, C, H, W) to mean and logvar (B, latent_dim) of q(z | x), or q(z | x, y).

    Args:
        latent_dim: Size of z.
        image_shape: (C, H, W).
        hidden_dims: Width of each hidden layer; SiLU follows each.
        num_classes: How many classes there are, of which a map joins the image; None without.
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
        mean, logvar = self.layers(self.map(images, labels).flatten(1)).chunk(2, dim=1)
        return mean, logvar


class Decoder(nn.Module):
    """z (B, latent_dim) to the parameters (B, C * params_per_value, H, W) of p(x | z), unbounded.

    With labels (B,) if conditional: those of p(x | z, y).

    Args:
        latent_dim: Size of z.
        image_shape: (C, H, W).
        params_per_value: Of the likelihood: 1, or more, such as 3 for each logistic of a mixture.
        hidden_dims: Width of each hidden layer; SiLU follows each.
        num_classes: How many classes there are, of which an embedding joins z; None without.
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
        return self.layers(self.code(z, labels)).unflatten(1, self.params_shape)


class Classifier(nn.Module):
    """Images (B, C, H, W) to logits (B, num_classes).

    Args:
        image_shape: (C, H, W).
        num_classes: At least 2.
        hidden_dims: Width of each hidden layer; SiLU follows each. The last are the features.
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
        """The last hidden layer (B, num_features)."""
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def _perceptron(sizes: Sequence[int], activation: nn.Module) -> nn.Sequential:
    """Linear layers of the sizes given, with the activation between them."""
    return _hidden(sizes, activation)[:-1]


def _hidden(sizes: Sequence[int], activation: nn.Module) -> nn.Sequential:
    """Linear layers of the sizes given, with the activation after each."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), activation]
    return nn.Sequential(*layers)
