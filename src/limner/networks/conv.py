"""A plain convolutional encoder and decoder for autoencoders.

Each level of the encoder has a 3x3 convolution and a strided 4x4 convolution, both with group norm
and SiLU, and halves the image, until its shorter side has 4 to 7 pixels. The decoder mirrors the
encoder. Sizes that do not halve evenly are padded, and cropped at the end.
"""

__all__ = ["Decoder", "Encoder"]

from collections.abc import Sequence

from torch import Tensor, nn

from limner.networks.conditions import ClassCode, ClassMap, check_classes
from limner.networks.resolution import crop, pad, pyramid

NUM_GROUPS = 8


class Encoder(nn.Module):
    """Encoder from images (B, C, H, W) to mean and logvar (B, latent_dim) of q(z | x).

    A conditional encoder takes labels y (B,) as well, and describes q(z | x, y).

    Args:
        latent_dim: Size of z.
        image_shape: Shape (C, H, W) of an image.
        width: Number of channels of the finest level, a multiple of 8. Each coarser level has
            twice as many, up to `max_width`.
        max_width: Largest number of channels of a level.
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
        num_classes: int | None,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        self.image_shape = tuple(image_shape)
        channels, height, width_ = pyramid(image_shape, width, max_width)
        self.map = ClassMap(image_shape, num_classes)
        layers: list[nn.Module] = []
        for before, after in zip([self.map.num_channels, *channels], channels, strict=False):
            layers += [nn.Conv2d(before, after, 3, padding=1), *_activation(after)]
            layers += [nn.Conv2d(after, after, 4, stride=2, padding=1), *_activation(after)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.posterior = nn.Linear(channels[-1] * height * width_, 2 * latent_dim)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and logvar, each (B, latent_dim)."""
        padded = pad(self.map(images, labels), self.image_shape)
        mean, logvar = self.posterior(self.layers(padded)).chunk(2, dim=1)
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
        num_classes: int | None,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        self.image_shape = tuple(image_shape)
        channels, height, width_ = pyramid(image_shape, width, max_width)
        coarsest = (channels[-1], height, width_)
        self.code = ClassCode(latent_dim, num_classes)
        num_outputs = channels[-1] * height * width_
        layers: list[nn.Module] = [nn.Linear(self.code.num_outputs, num_outputs)]
        layers += [nn.Unflatten(1, coarsest), nn.SiLU()]
        for coarse, fine in zip(channels[::-1], [*channels[-2::-1], channels[0]], strict=True):
            layers += [
                nn.ConvTranspose2d(coarse, fine, 4, stride=2, padding=1),
                *_activation(fine),
            ]
            layers += [nn.Conv2d(fine, fine, 3, padding=1), *_activation(fine)]
        layers += [nn.Conv2d(channels[0], image_shape[0] * params_per_value, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the parameters (B, C * params_per_value, H, W)."""
        return crop(self.layers(self.code(z, labels)), self.image_shape)


def _activation(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.GroupNorm(NUM_GROUPS, channels), nn.SiLU()
