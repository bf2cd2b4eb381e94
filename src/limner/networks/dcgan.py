"""Deep convolutional GAN of Radford, Metz and Chintala (2016), https://arxiv.org/abs/1511.06434.

The generator projects z to a 4x4 map and doubles it by fractionally strided 4x4 convolutions with
batch norm and ReLU, tanh at the end; the discriminator mirrors it with strided convolutions and
leaky ReLU. For sizes other than 4 * 2^n the map is a little larger and the image its centre.
"""

__all__ = ["Discriminator", "Generator"]

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from limner.networks.shapes import crop, pad, pyramid

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "layer": lambda channels: nn.GroupNorm(1, channels),
    "none": lambda channels: nn.Identity(),
}


class Generator(nn.Module):
    """z (B, latent_dim) to images (B, C, H, W) in [-1, 1].

    Args:
        latent_dim: Size of z.
        image_shape: (C, H, W).
        width: Channels of the finest level; each coarser level has twice as many,
        max_width: but never more than this.
    """

    def __init__(
        self, *, latent_dim: int, image_shape: Sequence[int], width: int, max_width: int
    ) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        channels, height, width_ = pyramid(image_shape, width, max_width)
        self.coarsest = (channels[-1], height, width_)
        self.project = nn.Linear(latent_dim, channels[-1] * height * width_, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(channels[-1]), nn.ReLU()]
        for coarse, fine in zip(channels[:0:-1], channels[-2::-1], strict=True):
            layers += [
                nn.ConvTranspose2d(coarse, fine, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(fine),
                nn.ReLU(),
            ]
        layers += [nn.ConvTranspose2d(channels[0], image_shape[0], 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)
        self.apply(_init)

    def forward(self, z: Tensor) -> Tensor:
        coarse = self.project(z).unflatten(1, self.coarsest)
        return torch.tanh(crop(self.layers(coarse), self.image_shape))


class Discriminator(nn.Module):
    """Images (B, C, H, W) in [-1, 1] to logits (B,), large for real ones.

    Args:
        image_shape: (C, H, W).
        width: Channels of the finest level; each coarser level has twice as many,
        max_width: but never more than this.
        norm: "batch", "layer" or "none", after every convolution but the first; a gradient penalty
            needs one that does not mix the images of a batch.
    """

    def __init__(
        self, *, image_shape: Sequence[int], width: int, max_width: int, norm: str
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"norm={norm}: choose one of {', '.join(NORMS)}.")
        channels, height, width_ = pyramid(image_shape, width, max_width)
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(
            zip([image_shape[0], *channels], channels, strict=False)
        ):
            plain = level == 0 or norm == "none"
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1, bias=plain)]
            layers += [nn.Identity() if plain else NORMS[norm](after), nn.LeakyReLU(0.2)]
        self.image_shape = tuple(image_shape)
        self.layers = nn.Sequential(*layers)
        self.classify = nn.Linear(channels[-1] * height * width_, 1)
        self.apply(_init)

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.layers(pad(images, self.image_shape)).flatten(1)).squeeze(1)


def _init(module: nn.Module) -> None:
    """Section 4 of the paper: weights from N(0, 0.02^2)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
