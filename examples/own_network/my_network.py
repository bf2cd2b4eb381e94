"""A generator and a discriminator of one hidden layer: two ordinary torch modules."""

import math

import torch
from torch import nn


class Generator(nn.Module):
    """Codes z (B, latent_dim) to images (B, C, H, W) in [-1, 1]."""

    def __init__(self, latent_dim, image_shape, width):
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.hidden = nn.Linear(latent_dim, width)
        self.output = nn.Linear(width, math.prod(image_shape))

    def forward(self, z):
        pixels = self.output(torch.relu(self.hidden(z)))
        return torch.tanh(pixels).unflatten(1, self.image_shape)


class Discriminator(nn.Module):
    """Images (B, C, H, W) to logits (B,), large for images that look real."""

    def __init__(self, image_shape, width):
        super().__init__()
        self.hidden = nn.Linear(math.prod(image_shape), width)
        self.output = nn.Linear(width, 1)

    def forward(self, images):
        features = nn.functional.leaky_relu(self.hidden(images.flatten(1)), 0.2)
        return self.output(features)[:, 0]
