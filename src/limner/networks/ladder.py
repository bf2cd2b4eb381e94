"""A hierarchical VAE: each latent layer is drawn given the layers above it, coarse maps first.

    p(x, z) = p(x | z) prod_l p(z_l | z_<l)        q(z | x) = prod_l q(z_l | z_<l, x)

This is the ladder VAE of Sonderby et al. (2016), https://arxiv.org/abs/1602.02282, with residual
maps: each layer adds to one top-down state, as in Vahdat and Kautz (2020), section 3,
https://arxiv.org/abs/2007.03898. The encoder goes bottom-up and uses no noise. The decoder goes
top-down and computes both p and q from its state.

Every layer is written in coordinates u_l in which its prior is N(0, I): z_l = prior_mean +
prior_std * u_l, where the mean and the standard deviation of the prior depend on the layers above.
Therefore one code u (B, latent_dim) holds all layers, the coarsest first, with p(u) = N(0, I). An
image is a function of u, as in a VAE with one layer, and KL(q || p) is the sum over layers of the
KL of N(mean, exp(logvar)) from N(0, I).
"""

__all__ = ["Decoder", "Encoder", "Inferred"]

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from limner.networks.conditions import ClassMap, check_classes
from limner.networks.learned_constant import Start
from limner.networks.residual_blocks import Levels, Residual
from limner.networks.resolution import crop, pad


class Inferred(NamedTuple):
    """A draw from q(z | x), and the parameters of p(x | z) that the decoder computes from it."""

    params: Tensor
    """Parameters of p(x | z), (B, C * params_per_value, H, W)."""
    z: Tensor
    """Codes (B, latent_dim)."""
    mean: Tensor
    """Means (B, latent_dim); the mean of a layer depends on the draws of the layers above."""
    logvar: Tensor
    """Log-variances (B, latent_dim), which depend on these draws too."""


class Encoder(nn.Module):
    """Encoder from images (B, C, H, W) in [-1, 1] to one map for each level of the decoder.

    A conditional encoder takes labels (B,) as well.

    Args:
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
        image_shape: Sequence[int],
        width: int,
        max_width: int,
        num_blocks: int,
        attention_size: int | None,
        num_classes: int | None,
    ) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        levels = Levels(
            image_shape, width=width, max_width=max_width, num_blocks=num_blocks,
            attention_size=attention_size, num_halvings=None,
        )  # fmt: skip
        check_classes(num_classes)
        self.map = ClassMap(image_shape, num_classes)
        before, stages = levels.channels[0], []
        first = nn.Conv2d(self.map.num_channels, before, 3, padding=1)
        for i, after in enumerate(levels.channels):
            halve = first if i == 0 else nn.Conv2d(before, before, 3, stride=2, padding=1)
            stages += [nn.Sequential(halve, *levels.level(i, before, after))]
            before = after
        self.stages = nn.ModuleList(stages)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> list[Tensor]:
        """Return one map for each level, the coarsest first."""
        maps, x = [], pad(self.map(images, labels), self.image_shape)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[::-1]


class Decoder(nn.Module):
    """Decoder from u (B, latent_dim) to the unbounded parameters of p(x | z).

    The parameters are (B, C * params_per_value, H, W).

    Args:
        image_shape: Shape (C, H, W) of an image.
        params_per_value: Number of parameters that the likelihood needs for each value, such as
            3 for each logistic of a mixture.
        num_layers: Number of latent layers of each level, the coarsest level first, e.g. [2, 1].
            Each number is at least 0, and the sum at least 2. Levels not listed have no layer.
        latent_channels: Number of channels of a latent layer.
        width: Number of channels of the finest level, as for the encoder.
        max_width: Largest number of channels of a level, as for the encoder.
        num_blocks: Number of residual blocks of each level, as for the encoder.
        attention_size: Largest shorter side of a level with self-attention, as for the encoder.
        num_classes: Number of classes, or None. Each class has its own learned start, so p(z | y)
            is learned too.
    """

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        params_per_value: int,
        num_layers: Sequence[int],
        latent_channels: int,
        width: int,
        max_width: int,
        num_blocks: int,
        attention_size: int | None,
        num_classes: int | None,
    ) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        levels = Levels(
            image_shape, width=width, max_width=max_width, num_blocks=num_blocks,
            attention_size=attention_size, num_halvings=None,
        )  # fmt: skip
        channels = levels.channels[::-1]
        _check(num_layers, len(channels), latent_channels)
        numbers = [*num_layers, *[0] * (len(channels) - len(num_layers))]
        self.start = Start(levels.coarsest, num_classes=num_classes, std=1.0)
        self.stages, self.layers = nn.ModuleList(), nn.ModuleList()
        self.layer_shapes: list[tuple[int, int, int]] = []
        """Shape (latent_channels, h, w) of each layer."""
        before, last = channels[0], len(channels) - 1
        for i, after in enumerate(channels):
            double = [nn.Upsample(scale_factor=2), nn.Conv2d(before, before, 3, padding=1)]
            stage = levels.level(last - i, before, after)
            self.stages.append(nn.Sequential(*(double if i > 0 else []), *stage))
            self.layers.append(
                nn.ModuleList(_Layer(after, latent_channels) for _ in range(numbers[i]))
            )
            height, width_ = (side * 2**i for side in levels.coarsest[1:])
            self.layer_shapes += [(latent_channels, height, width_)] * numbers[i]
            before = after
        self.layer_sizes = [c * h * w for c, h, w in self.layer_shapes]
        """Size of each layer's part of a code."""
        self.latent_dim = sum(self.layer_sizes)
        to_params = nn.Conv2d(before, image_shape[0] * params_per_value, 3, padding=1)
        self.to_params = nn.Sequential(nn.GroupNorm(8, before), nn.SiLU(), to_params)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the parameters (B, C * params_per_value, H, W)."""
        return self._down(z, None, labels).params

    def infer(self, maps: Sequence[Tensor], eps: Tensor, labels: Tensor | None = None) -> Inferred:
        """Draw z = mean + exp(logvar / 2) eps from q(z | x), layer by layer.

        Args:
            maps: Output of the encoder for B images.
            eps: Standard normal numbers (B, latent_dim); zeros for the means.
            labels: Classes int64 (B,) if the decoder is conditional.
        """
        return self._down(eps, maps, labels)

    def _down(
        self, noise: Tensor, maps: Sequence[Tensor] | None, labels: Tensor | None
    ) -> Inferred:
        parts = iter(noise.split(self.layer_sizes, dim=1))
        shapes = iter(self.layer_shapes)
        x, drawn = self.start(noise.shape[0], labels), []
        for i, (stage, layers) in enumerate(zip(self.stages, self.layers, strict=True)):
            x = stage(x)
            for layer in layers:
                eps = next(parts).unflatten(1, next(shapes))
                x, *found = layer(x, eps, None if maps is None else maps[i])
                drawn.append([part.flatten(1) for part in found])
        z, mean, logvar = (torch.cat(part, dim=1) for part in zip(*drawn, strict=True))
        return Inferred(crop(self.to_params(x), self.image_shape), z, mean, logvar)


class _Layer(nn.Module):
    """Latent map that is added to the top-down state (B, num_channels, h, w)."""

    def __init__(self, num_channels: int, latent_channels: int) -> None:
        super().__init__()
        self.prior = _Head(num_channels, latent_channels)
        self.posterior = _Head(2 * num_channels, latent_channels)
        self.add = nn.Conv2d(latent_channels, num_channels, 1)
        self.block = Residual(num_channels, num_channels)

    def forward(
        self, x: Tensor, eps: Tensor, bottom_up: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the new state, z, and mean and logvar of q; without an image, of the prior."""
        mean, logvar = torch.zeros_like(eps), torch.zeros_like(eps)
        if bottom_up is not None:
            mean, logvar = self.posterior(torch.cat([x, bottom_up], dim=1))
        z = mean + (logvar / 2).exp() * eps
        prior_mean, prior_logvar = self.prior(x)
        x = x + self.add(prior_mean + (prior_logvar / 2).exp() * z)
        return self.block(x), z, mean, logvar


class _Head(nn.Module):
    """Mean and log-variance of a layer; both start near 0, so that q starts near the prior."""

    def __init__(self, num_channels: int, latent_channels: int) -> None:
        super().__init__()
        last = nn.Conv2d(num_channels, 2 * latent_channels, 3, padding=1)
        nn.init.normal_(last.weight, std=1e-3)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(Residual(num_channels, num_channels), nn.SiLU(), last)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, logvar = self.layers(x).chunk(2, dim=1)
        return mean, logvar


def _check(num_layers: Sequence[int], num_levels: int, latent_channels: int) -> None:
    if len(num_layers) > num_levels or min(num_layers, default=0) < 0 or sum(num_layers) < 2:
        raise ValueError(
            f"network.decoder.num_layers={list(num_layers)}: a ladder needs two latent layers "
            f"or more, in at most {num_levels} levels for images of this size (the coarsest "
            "level first)."
        )
    if latent_channels < 1:
        raise ValueError(f"network.decoder.latent_channels={latent_channels}: must be 1 or more.")
