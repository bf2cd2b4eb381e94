"""StyleGAN2, Karras et al. (2020), https://arxiv.org/abs/1912.04958. Written from the paper.

    w = mapping(z)      h_0 = constant        h_k = layer_k(h_{k-1}, w_k, noise_k)
    image = sum over sizes of the doubled image of the size before + 1x1(h, w)

The generator (skip connections, figure 7b of the paper) begins with a learned map, usually 4x4.
Each further size has two layers; the first one doubles the map. The image is the sum of what
each size contributes. The discriminator has residual blocks (figure 7c): 3x3, 3x3 that halves, and
a 1x1 convolution of the halved input beside them. `limner.networks.modulation`, `.fir` and
`.equalised` define the layers. For sizes other than 4 * 2^n the first map is larger, and the
image is the centre of the last map.

The paper has max_width 512 and min(32768 / size, 512) channels: width is 512 for 32x32 images, 128
for 256x256 and 32 for 1024x1024. Classes follow appendix C of Karras et al. (2020),
https://arxiv.org/abs/2006.06676: the mapping network reads an embedding; D's logit is the product
of its features with a mapped embedding.
"""

__all__ = ["Discriminator", "Generator"]

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limner.networks.conditions import (
    DISCRIMINATOR_CONDITIONS,
    ClassMap,
    check_condition,
)
from limner.networks.equalised import EqualisedConv2d, EqualisedLinear, activated, unit_length
from limner.networks.fir import Filter
from limner.networks.minibatch_std import MinibatchStd
from limner.networks.modulation import Mapping, ModulatedConv2d, Painting
from limner.networks.resolution import crop, pad, pyramid


class Generator(nn.Module):
    """Generator from codes to images (B, C, H, W), about in [-1, 1]; see `StyleGenerator`.

    Codes are z (B, latent_dim), or z and `num_draws` further numbers from N(0, 1). The further
    numbers are the noise inputs, of each layer and place, and the numbers of style mixing.
    If the codes are z alone, the noise inputs are 0.

    Args:
        latent_dim: Size of z.
        image_shape: Shape (C, H, W) of an image.
        style_dim: Size of w.
        num_mapping_layers: Number of layers of the mapping network, at least 1.
        mapping_multiplier: Factor of the learning rate of the mapping network, above 0.
        mixing: Probability, in [0, 1], that an image in training has the styles of a second z
            from a random layer on: Karras et al. (2019), section 3.1,
            https://arxiv.org/abs/1812.04948.
        noise: Whether the layers have noise inputs, as in the paper.
        width: Number of channels of the finest maps. Each coarser map has twice as many, up to
            `max_width`.
        max_width: Largest number of channels of a map.
        num_classes: Number of classes; None for an unconditional network.
        condition: "none" or "concat", see `limner.networks.conditions`.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        image_shape: Sequence[int],
        style_dim: int,
        num_mapping_layers: int,
        mapping_multiplier: float,
        mixing: float,
        noise: bool,
        width: int,
        max_width: int,
        num_classes: int | None,
        condition: str,
    ) -> None:
        super().__init__()
        check_condition(
            "generator", condition, num_classes=num_classes, fitting=("none", "concat")
        )
        _check_mapping("generator", num_mapping_layers, mapping_multiplier)
        if not 0 <= mixing <= 1:
            raise ValueError(f"network.generator.mixing={mixing}: must be in [0, 1].")
        self.latent_dim, self.image_shape, self.mixing = latent_dim, tuple(image_shape), mixing
        self.mapping = Mapping(
            latent_dim, style_dim, num_layers=num_mapping_layers, multiplier=mapping_multiplier,
            num_classes=num_classes if condition == "concat" else None,
        )  # fmt: skip
        channels, height, width_ = pyramid(image_shape, width, max_width)
        channels = [*channels, min(2 * channels[-1], max_width)][::-1]
        self.constant = nn.Parameter(torch.randn(channels[0], height, width_))
        pairs = [(before, after) for before, after in itertools.pairwise(channels)]
        own = {"style_dim": style_dim, "noise": noise}
        self.layers = nn.ModuleList([Painting(channels[0], channels[0], doubles=False, **own)])
        for before, after in pairs:
            self.layers.append(Painting(before, after, doubles=True, **own))
            self.layers.append(Painting(after, after, doubles=False, **own))
        self.to_image = nn.ModuleList(_ToImage(c, image_shape[0], style_dim) for c in channels)
        self.image_filter = Filter(image_shape[0])
        self.num_styles = len(self.layers) + 1
        self._sizes = [
            (height << -(-k // 2), width_ << -(-k // 2)) for k in range(len(self.layers))
        ]
        self.num_noise = sum(h * w for h, w in self._sizes) if noise else 0
        self.num_draws = self.num_noise + (latent_dim + 2 if mixing > 0 else 0)

    def forward(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images (B, C, H, W) of codes (B, latent_dim) or (B, latent_dim + num_draws)."""
        z, further = codes[:, : self.latent_dim], codes[:, self.latent_dim :]
        noise, for_mixing = further[:, : self.num_noise], further[:, self.num_noise :]
        w = self.styles(z, labels)
        if self.training and for_mixing.shape[1] > 0:
            w = self._mixed(w, for_mixing, labels)
        return self.paint(w, noise)

    def styles(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return w (B, style_dim) of z (B, latent_dim)."""
        return self.mapping(z, labels)

    def paint(self, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return images (B, C, H, W).

        Args:
            w: Styles (B, style_dim), or (B, num_styles, style_dim) with a style for each layer,
                the coarsest first. The 1x1 convolution to the image reads the style of the layer
                behind it.
            noise: Noise inputs (B, num_noise) from N(0, 1); None for zeros.
        """
        styles = [w] * self.num_styles if w.ndim == 2 else w.unbind(1)
        has_noise = noise is not None and noise.shape[1] > 0
        fields = self._fields(noise) if has_noise else [None] * len(self.layers)
        h, images = self.constant.expand(w.shape[0], -1, -1, -1), None
        for k, (layer, field) in enumerate(zip(self.layers, fields, strict=True)):
            h = layer(h, styles[k], field)
            if k % 2 == 0:
                more = self.to_image[k // 2](h, styles[k + 1])
                images = more if images is None else self.image_filter.doubled(images) + more
        return crop(images, self.image_shape)

    def modulations(self) -> list[Tensor]:
        """Return the weights (channels, style_dim) of the affine layers that read each style.

        If two layers read a style, their weights are stacked.
        """
        weights = [[layer.conv.affine.scaled_weight] for layer in self.layers] + [[]]
        for i, layer in enumerate(self.to_image):
            weights[2 * i + 1].append(layer.conv.affine.scaled_weight)
        return [torch.cat(each) for each in weights]

    def _fields(self, noise: Tensor) -> list[Tensor]:
        areas = [h * w for h, w in self._sizes]
        parts = zip(noise.split(areas, dim=1), self._sizes, strict=True)
        return [part.unflatten(1, (1, *size)) for part, size in parts]

    def _mixed(self, w: Tensor, numbers: Tensor, labels: Tensor | None) -> Tensor:
        """Return styles (B, num_styles, style_dim), some of them from a second z."""
        second = self.styles(numbers[:, : self.latent_dim], labels)
        whether, where = torch.special.ndtr(numbers[:, self.latent_dim :].float()).unbind(1)
        first_mixed = 1 + (where * (self.num_styles - 1)).floor()
        layers = torch.arange(self.num_styles, device=w.device)
        mixes = (whether < self.mixing)[:, None] & (layers >= first_mixed[:, None])
        return torch.where(mixes[..., None], second[:, None], w[:, None])


class Discriminator(nn.Module):
    """Discriminator from images (B, C, H, W) in [-1, 1] to logits (B,), large for real images.

    A conditional discriminator takes labels (B,) as well. With the condition "auxiliary" it
    returns (B, 1 + num_classes): the logit of "real" first, then the logits of the classes. The
    logit of an image depends on its group of the batch a little, see `MinibatchStd`.

    Args:
        image_shape: Shape (C, H, W) of an image.
        width: Number of channels of the finest maps. Each coarser map has twice as many, up to
            `max_width`.
        max_width: Largest number of channels of a map.
        residual: Whether a block adds its halved input; false on CIFAR-10 in the paper on ADA.
        group_size: Largest number of images whose standard deviation D reads; 1 for none.
        num_mapping_layers: Number of layers that map the class, at least 1.
        mapping_multiplier: Factor of the learning rate of the mapped class, above 0.
        num_classes: Number of classes; None for an unconditional network.
        condition: "none", "concat", "projection" or "auxiliary", see `limner.networks.conditions`.
    """

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        width: int,
        max_width: int,
        residual: bool,
        group_size: int,
        num_mapping_layers: int,
        mapping_multiplier: float,
        num_classes: int | None,
        condition: str,
    ) -> None:
        super().__init__()
        check_condition(
            "discriminator", condition, num_classes=num_classes, fitting=DISCRIMINATOR_CONDITIONS
        )
        _check_mapping("discriminator", num_mapping_layers, mapping_multiplier)
        self.image_shape = tuple(image_shape)
        self.map = ClassMap(image_shape, num_classes if condition == "concat" else None)
        channels, height, width_ = pyramid(image_shape, width, max_width)
        channels = [*channels, num_features := min(2 * channels[-1], max_width)]
        self.from_image = EqualisedConv2d(self.map.num_channels, channels[0], 1)
        self.blocks = nn.Sequential(
            *(_Halving(*pair, residual=residual) for pair in itertools.pairwise(channels))
        )
        self.spread = MinibatchStd(group_size)
        self.last = EqualisedConv2d(num_features + 1, num_features, 3)
        self.project = EqualisedLinear(num_features * height * width_, num_features)
        self.classify = _Head(
            num_features, num_mapping_layers=num_mapping_layers, multiplier=mapping_multiplier,
            num_classes=num_classes, condition=condition,
        )  # fmt: skip

    def features(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the features (B, num_features) that the last layer reads."""
        padded = pad(self.map(images, labels), self.image_shape)
        h = self.blocks(activated(self.from_image(padded)))
        h = activated(self.last(self.spread(h)))
        return activated(self.project(h.flatten(1)))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (B,), or (B, 1 + num_classes) if D predicts classes."""
        return self.classify(self.features(images, labels), labels)


class _ToImage(nn.Module):
    """What a size contributes to the image: a modulated 1x1 convolution and a bias."""

    def __init__(self, before: int, num_channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(
            before, num_channels, 1, style_dim=style_dim, demodulates=False
        )
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, h: Tensor, w: Tensor) -> Tensor:
        return self.conv(h, w) + self.bias[:, None, None].to(h)


class _Halving(nn.Module):
    """Block of D from maps (B, before, h, w) to (B, after, h / 2, w / 2)."""

    def __init__(self, before: int, after: int, *, residual: bool) -> None:
        super().__init__()
        self.first = EqualisedConv2d(before, before, 3)
        self.second = EqualisedConv2d(before, after, 3, stride=2)
        self.skip = EqualisedConv2d(before, after, 1, bias=False) if residual else None
        self.filter = Filter(before)

    def forward(self, x: Tensor) -> Tensor:
        h = self.filter.before_halving(activated(self.first(x)))
        h = activated(self.second(h))
        if self.skip is None:
            return h
        return (h + self.skip(self.filter.halved(x))) / math.sqrt(2)


class _Head(EqualisedLinear):
    """The last layer of D. With "projection" it is psi(phi)^T m(y), where m maps the class y."""

    def __init__(
        self,
        num_features: int,
        *,
        num_mapping_layers: int,
        multiplier: float,
        num_classes: int | None,
        condition: str,
    ) -> None:
        sizes = {"projection": num_features, "auxiliary": 1 + (num_classes or 0)}
        super().__init__(num_features, sizes.get(condition, 1))
        self.condition = condition
        if condition == "projection":
            self.classes = Mapping(
                0, num_features, num_layers=num_mapping_layers, multiplier=multiplier,
                num_classes=num_classes,
            )  # fmt: skip

    def forward(self, features: Tensor, labels: Tensor | None) -> Tensor:
        logits = super().forward(features)
        if self.condition == "auxiliary":
            return logits
        if self.condition == "projection":
            classes = unit_length(self.classes(None, labels))
            return (logits * classes.to(logits)).sum(1) / math.sqrt(self.in_features)
        return logits.squeeze(1)


def _check_mapping(player: str, num_layers: int, multiplier: float) -> None:
    if num_layers < 1:
        raise ValueError(f"network.{player}.num_mapping_layers={num_layers}: must be 1 or more.")
    if multiplier <= 0:
        raise ValueError(f"network.{player}.mapping_multiplier={multiplier}: must be above 0.")
