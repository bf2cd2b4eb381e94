"""Multi-layer perceptrons: images as flat vectors, any size."""

__all__ = ["Classifier", "Decoder", "Discriminator", "Encoder", "Generator"]

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Generator(nn.Module):
    """z (B, latent_dim) to images (B, C, H, W) in [-1, 1].

    Args:
        latent_dim: Size of z.
        image_shape: (C, H, W).
        hidden_dims: Width of each hidden layer; leaky ReLU follows each.
    """

    def __init__(
        self, *, latent_dim: int, image_shape: Sequence[int], hidden_dims: Sequence[int]
    ) -> None:
        super().__init__()
        sizes = [latent_dim, *hidden_dims, math.prod(image_shape)]
        self.layers = _perceptron(sizes, nn.LeakyReLU(0.2))
        self.image_shape = tuple(image_shape)

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.layers(z)).unflatten(1, self.image_shape)


class Discriminator(nn.Module):
    """Images (B, C, H, W) to logits (B,), large for real ones.

    Args:
        image_shape: (C, H, W).
        hidden_dims: Width of each hidden layer; leaky ReLU follows each.
    """

    def __init__(self, *, image_shape: Sequence[int], hidden_dims: Sequence[int]) -> None:
        super().__init__()
        self.layers = _perceptron([math.prod(image_shape), *hidden_dims, 1], nn.LeakyReLU(0.2))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images.flatten(1)).squeeze(1)


class Encoder(nn.Module):
    """Images (B, C, H, W) to the mean and log-variance (B, latent_dim) of q(z | x).

    Args:
        latent_dim: Size of z.
        image_shape: (C, H, W).
        hidden_dims: Width of each hidden layer; SiLU follows each.
    """

    def __init__(
        self, *, latent_dim: int, image_shape: Sequence[int], hidden_dims: Sequence[int]
    ) -> None:
        super().__init__()
        self.layers = _perceptron(
            [math.prod(image_shape), *hidden_dims, 2 * latent_dim], nn.SiLU()
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, logvar = self.layers(images.flatten(1)).chunk(2, dim=1)
        return mean, logvar


class Decoder(nn.Module):
    """z (B, latent_dim) to the parameters (B, C, H, W) of p(x | z), unbounded.

    Args:
        latent_dim: Size of z.
        image_shape: (C, H, W).
        hidden_dims: Width of each hidden layer; SiLU follows each.
    """

    def __init__(
        self, *, latent_dim: int, image_shape: Sequence[int], hidden_dims: Sequence[int]
    ) -> None:
        super().__init__()
        self.layers = _perceptron([latent_dim, *hidden_dims, math.prod(image_shape)], nn.SiLU())
        self.image_shape = tuple(image_shape)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).unflatten(1, self.image_shape)


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
        self.body = nn.Sequential(
            nn.Flatten(), _perceptron([math.prod(image_shape), *hidden_dims], nn.SiLU()), nn.SiLU()
        )
        self.head = nn.Linear(hidden_dims[-1], num_classes)
        self.num_features = hidden_dims[-1]

    def features(self, images: Tensor) -> Tensor:
        """The last hidden layer (B, num_features)."""
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def _perceptron(sizes: Sequence[int], activation: nn.Module) -> nn.Sequential:
    """Linear layers of the sizes given, with the activation between them."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), activation]
    return nn.Sequential(*layers[:-1])
