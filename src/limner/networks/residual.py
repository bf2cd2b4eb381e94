"""Residual encoders and decoders, with self-attention where maps are small.

The encoder halves the image by strided 3x3 convolutions between its levels of residual blocks
(see `limner.networks.residual_blocks`), until its shorter side has 4 to 7 pixels. The decoder
doubles the image by repeating pixels before a 3x3 convolution. Sizes that do not halve evenly are
padded, and cropped at the end. `Encoder` and `Decoder` code an image as a vector; `MapEncoder` and
`MapDecoder` code an image as a map of vectors, halved `num_halvings` times.
"""

__all__ = ["Decoder", "Encoder", "MapDecoder", "MapEncoder"]

import math
from collections.abc import Sequence

from torch import Tensor, nn

from limner.networks.conditions import ClassCode, ClassMap, check_classes
from limner.networks.residual_blocks import Levels
from limner.networks.resolution import crop, pad


class Encoder(nn.Module):
    """Encoder from images (B, C, H, W) to mean and logvar (B, latent_dim) of q(z | x).

    A conditional encoder takes labels y (B,) as well, and describes q(z | x, y).

    Args:
        latent_dim: Size of z.
        image_shape: Shape (C, H, W) of an image.
        width: Number of channels of the finest level, a multiple of 8. Each coarser level has
            twice as many, up to `max_width`.
        max_width: Largest number of channels of a level.
        num_blocks: Number of residual blocks of each level, at least 1.
        attention_size: Largest shorter side, in pixels, of a level that uses self-attention;
            None for no attention.
        num_classes: Number of classes; a learned map of the class joins the image. None for an
            unconditional network.
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
        """Return mean and logvar, each (B, latent_dim)."""
        features = self.layers(pad(self.map(images, labels), self.image_shape))
        mean, logvar = self.posterior(features).chunk(2, dim=1)
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
        width: Number of channels of the finest level, a multiple of 8. Each coarser level has
            twice as many, up to `max_width`.
        max_width: Largest number of channels of a level.
        num_blocks: Number of residual blocks of each level, at least 1.
        attention_size: Largest shorter side, in pixels, of a level that uses self-attention;
            None for no attention.
        num_classes: Number of classes; an embedding of the class joins z. None for an
            unconditional network.
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
        """Return the parameters (B, C * params_per_value, H, W)."""
        return crop(self.layers(self.code(z, labels)), self.image_shape)


class MapEncoder(nn.Module):
    """Encoder from images (B, C, H, W) in [-1, 1] to a map of codes (B, code_dim, h, w).

    Args:
        code_dim: Size of the code at each position.
        image_shape: Shape (C, H, W) of an image.
        num_halvings: Number of halvings, so that h is H / 2^num_halvings, rounded up. It is at
            least 1; the shorter side of the map must keep 4 pixels.
        width: Number of channels of the finest level, a multiple of 8. Each coarser level has
            twice as many, up to `max_width`.
        max_width: Largest number of channels of a level.
        num_blocks: Number of residual blocks of each level, at least 1.
        attention_size: Largest shorter side, in pixels, of a level that uses self-attention;
            None for no attention.
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
        """Height and width (h, w) of the map."""
        to_codes = nn.Conv2d(levels.coarsest[0], code_dim, 1)
        self.layers = nn.Sequential(*levels.down(image_shape[0]), to_codes)

    def forward(self, images: Tensor) -> Tensor:
        """Return a map of codes (B, code_dim, h, w)."""
        return self.layers(pad(images, self.image_shape))


class MapDecoder(nn.Module):
    """Decoder from a map of codes (B, code_dim, h, w) to the parameters of p(x | z).

    The parameters are (B, C * params_per_value, H, W).

    Args:
        code_dim: Size of the code at each position.
        image_shape: Shape (C, H, W) of an image.
        params_per_value: Number of parameters that the likelihood needs for each value, such as
            3 for each logistic of a mixture.
        num_halvings: Number of halvings of the encoder.
        width: Number of channels of the finest level, a multiple of 8. Each coarser level has
            twice as many, up to `max_width`.
        max_width: Largest number of channels of a level.
        num_blocks: Number of residual blocks of each level, at least 1.
        attention_size: Largest shorter side, in pixels, of a level that uses self-attention;
            None for no attention.
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
        """Return the parameters (B, C * params_per_value, H, W)."""
        return crop(self.layers(codes), self.image_shape)
