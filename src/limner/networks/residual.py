"""Residual encoders and decoders, with self-attention where maps are small.

The encoder halves the image by strided 3x3 convolutions between its levels of residual blocks
(see `limner.networks.residual_blocks`), until its shorter side is 4 to 7 pixels; the decoder
doubles it again by repeating pixels before a 3x3 convolution. Sizes that do not halve evenly are
padded and cropped. `Encoder` and `Decoder` code an image as a vector, `MapEncoder` and
`MapDecoder` as a map of vectors, halved as often as one says.
"""

__all__ = ["Decoder", "Encoder", "MapDecoder", "MapEncoder"]

import math
from collections.abc import Sequence

from torch import Tensor, nn

from limner.networks.conditions import ClassCode, ClassMap, check_classes
from limner.networks.residual_blocks import Levels
from limner.networks.resolution import crop, pad


class Encoder(nn.Module):
    """Images (B, C, H, W) to mean and logvar (B, latent_dim) of q(z | x), or q(z | x, y).

    Args:
        latent_dim: Size of z.
        image_shape: (C, H, W).
        width: Channels of the finest level, a multiple of 8; each coarser level has twice as many,
        max_width: but never more than this.
        num_blocks: Residual blocks of each level, at least 1.
        attention_size: Levels attend whose shorter side has this many pixels or fewer; None for
            no attention.
        num_classes: How many classes there are, of which a map joins the image; None without.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        image_shape: Sequence[int],
        width: int,
        max_width: int,
        num_blocks: int,
        attention_size: int | None,
        num_classes: int | None,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        self.image_shape = tuple(image_shape)
        levels = Levels(
            image_shape, width=width, max_width=max_width, num_blocks=num_blocks,
            attention_size=attention_size, num_halvings=None,
        )  # fmt: skip
        self.map = ClassMap(image_shape, num_classes)
        self.layers = nn.Sequential(*levels.down(self.map.num_channels), nn.Flatten())
        self.posterior = nn.Linear(math.prod(levels.coarsest), 2 * latent_dim)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        features = self.layers(pad(self.map(images, labels), self.image_shape))
        mean, logvar = self.posterior(features).chunk(2, dim=1)
        return mean, logvar


class Decoder(nn.Module):
    """z (B, latent_dim) to the parameters (B, C * params_per_value, H, W) of p(x | z), unbounded.

    With labels (B,) if conditional: those of p(x | z, y).

    Args:
        latent_dim: Size of z.
        image_shape: (C, H, W).
        params_per_value: Of the likelihood: 1, or more, such as 3 for each logistic of a mixture.
        width: Channels of the finest level, a multiple of 8; each coarser level has twice as many,
        max_width: but never more than this.
        num_blocks: Residual blocks of each level, at least 1.
        attention_size: Levels attend whose shorter side has this many pixels or fewer; None for
            no attention.
        num_classes: How many classes there are, of which an embedding joins z; None without.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        image_shape: Sequence[int],
        params_per_value: int,
        width: int,
        max_width: int,
        num_blocks: int,
        attention_size: int | None,
        num_classes: int | None,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        self.image_shape = tuple(image_shape)
        levels = Levels(
            image_shape, width=width, max_width=max_width, num_blocks=num_blocks,
            attention_size=attention_size, num_halvings=None,
        )  # fmt: skip
        self.code = ClassCode(latent_dim, num_classes)
        self.layers = nn.Sequential(
            nn.Linear(self.code.num_outputs, math.prod(levels.coarsest)),
            nn.Unflatten(1, levels.coarsest),
            *levels.up(image_shape[0] * params_per_value),
        )

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return crop(self.layers(self.code(z, labels)), self.image_shape)


class MapEncoder(nn.Module):
    """Images (B, C, H, W) in [-1, 1] to a map of codes (B, code_dim, h, w).

    Args:
        code_dim: Size of the code at a position.
        image_shape: (C, H, W).
        num_halvings: How often the image is halved: h = H / 2^num_halvings, rounded up so that it
            could be halved on; at least 1, at most until the shorter side has 4 pixels.
        width: Channels of the finest level, a multiple of 8; each coarser level has twice as many,
        max_width: but never more than this.
        num_blocks: Residual blocks of each level, at least 1.
        attention_size: Levels attend whose shorter side has this many pixels or fewer; None for
            no attention.
    """

    def __init__(
        self,
        *,
        code_dim: int,
        image_shape: Sequence[int],
        num_halvings: int,
        width: int,
        max_width: int,
        num_blocks: int,
        attention_size: int | None,
    ) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        levels = Levels(
            image_shape, width=width, max_width=max_width, num_blocks=num_blocks,
            attention_size=attention_size, num_halvings=num_halvings,
        )  # fmt: skip
        self.map_size: tuple[int, int] = levels.coarsest[1:]
        """(h, w)"""
        to_codes = nn.Conv2d(levels.coarsest[0], code_dim, 1)
        self.layers = nn.Sequential(*levels.down(image_shape[0]), to_codes)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(pad(images, self.image_shape))


class MapDecoder(nn.Module):
    """A map of codes (B, code_dim, h, w) to the parameters (B, C * params_per_value, H, W).

    Args:
        code_dim: Size of the code at a position.
        image_shape: (C, H, W).
        params_per_value: Of the likelihood: 1, or more, such as 3 for each logistic of a mixture.
        num_halvings: As the encoder's.
        width: Channels of the finest level, a multiple of 8; each coarser level has twice as many,
        max_width: but never more than this.
        num_blocks: Residual blocks of each level, at least 1.
        attention_size: Levels attend whose shorter side has this many pixels or fewer; None for
            no attention.
    """

    def __init__(
        self,
        *,
        code_dim: int,
        image_shape: Sequence[int],
        params_per_value: int,
        num_halvings: int,
        width: int,
        max_width: int,
        num_blocks: int,
        attention_size: int | None,
    ) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        levels = Levels(
            image_shape, width=width, max_width=max_width, num_blocks=num_blocks,
            attention_size=attention_size, num_halvings=num_halvings,
        )  # fmt: skip
        self.layers = nn.Sequential(
            nn.Conv2d(code_dim, levels.coarsest[0], 3, padding=1),
            *levels.up(image_shape[0] * params_per_value),
        )

    def forward(self, codes: Tensor) -> Tensor:
        return crop(self.layers(codes), self.image_shape)
