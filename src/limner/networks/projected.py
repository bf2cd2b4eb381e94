"""Discriminator of Projected GAN, Sauer et al. (2021), https://arxiv.org/abs/2111.01007.

D judges images by the maps f_1, ..., f_L of a frozen, pretrained network (section 3.2). Random
convolutions, which are never trained, mix the channels of each map and then the scales:

    c_l = conv1x1_l(f_l)       m_L = c_L       m_l = c_l + conv3x3_l(enlarge(m_{l+1}))

A small head with spectral norm maps each m_l to logits on the same grid of places, of 4x4 at most.
Batch norm follows each hidden layer, since the maps differ in size by a factor of up to 10.
An image has a logit for each head and place. A loss is computed for each logit, and its mean is
minimised: this is the paper's sum over the heads, of the mean over places, divided by L.
"""

__all__ = ["Discriminator"]

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from limner.networks.conditions import check_condition
from limner.networks.efficientnet_lite import EfficientNetLite0
from limner.networks.normalisation import check_norm, norm_layer, normalise_spectra

LARGEST_GRID = 4


class Discriminator(nn.Module):
    """Discriminator from images (B, 1 or 3, H, W) in [-1, 1] to logits (B, K).

    The frozen network is neither a submodule nor saved: its weights come from an installed file
    whose hash is checked, and nothing puts it into training mode. The random mixing is saved, in
    buffers. Neither is computed in half precision, whatever the precision of the training.

    Args:
        image_shape: Shape (C, H, W) of an image.
        features: Pretrained network, with maps at several strides.
        width: Number of channels of the hidden layers of each head.
        min_size: Smallest height and width in pixels for the frozen network; smaller images are
            enlarged by the smallest whole factor that suffices.
        norm: "batch", "layer" or "none", after each hidden layer of a head. A gradient penalty
            needs a norm that does not mix the images of a batch: "layer" or "none".
        num_classes: Number of classes; None for an unconditional network.
        condition: "none" or "projection", see `limner.networks.conditions`.

    Raises:
        ValueError: If images do not have 1 or 3 channels, or an argument does not fit.
    """

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        features: EfficientNetLite0,
        width: int,
        min_size: int,
        norm: str,
        num_classes: int | None,
        condition: str,
    ) -> None:
        super().__init__()
        check_norm(norm)
        check_condition(
            "discriminator", condition, num_classes=num_classes, fitting=("none", "projection")
        )
        features.check_channels(
            image_shape[0], user="network=projected", advice="choose network=dcgan."
        )
        if min_size < 1:
            raise ValueError(f"network.discriminator.min_size={min_size}: must be 1 or more.")
        self.factor = -(-min_size // min(image_shape[1:]))
        self._features, self._is_loaded = [features], False  # in a list: not a submodule
        channels, num_classes = features.channels, None if condition == "none" else num_classes
        self._add_mixing("channels", [(c, c, 1, 1) for c in channels])
        self._add_mixing("scales", [(c, d, 3, 3) for c, d in itertools.pairwise(channels)])
        grid, further = -(-max(image_shape[1:]) * self.factor // features.strides[-1]), 0
        while grid > LARGEST_GRID:
            grid, further = -(-grid // 2), further + 1
        self.heads = nn.ModuleList(
            _Head(c, width, norm=norm, num_halvings=further + i, num_classes=num_classes)
            for i, c in zip(reversed(range(len(channels))), channels, strict=True)
        )
        normalise_spectra(self.heads)

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the pretrained weights that train the model."""
        return self._features[0].weights_sha256

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (B, K), large for real images, of all heads and places."""
        with torch.autocast(images.device.type, enabled=False):
            maps = self.mixed(images)
        logits = [head(x, labels) for head, x in zip(self.heads, maps, strict=True)]
        return torch.cat(logits, dim=1)

    def mixed(self, images: Tensor) -> list[Tensor]:
        """Return the maps m_l (B, C_l, H_l, W_l) of images (B, 1 or 3, H, W) in [-1, 1]."""
        images = images.float()
        if self.factor > 1:  # by copies of pixels: on a GPU, only this mode has an exact gradient
            images = interpolate(images, scale_factor=self.factor, mode="nearest")
        images = images.contiguous(memory_format=torch.channels_last)
        maps = self._frozen(images.device).stages(images, num_stages=len(self.heads))
        maps = [
            conv2d(x.to(w.dtype), w) for x, w in zip(maps, self._mixing("channels"), strict=True)
        ]
        for i, weight in reversed(list(enumerate(self._mixing("scales")))):
            coarse = _enlarge(maps[i + 1], maps[i].shape[2:])
            maps[i] = maps[i] + conv2d(coarse, weight, padding=1)
        return maps

    def load_pretrained(self) -> None:
        """Load the weights of the frozen network, unless they are loaded.

        Raises:
            ValueError: If the weights are not installed, or are damaged.
        """
        if not self._is_loaded:
            network = self._features[0].load().fold_norms().requires_grad_(False)
            network.to(memory_format=torch.channels_last)  # 2 to 4 times faster on a CPU
            self._is_loaded = True

    def _frozen(self, device: torch.device) -> EfficientNetLite0:
        self.load_pretrained()
        network = self._features[0]
        is_there = next(network.parameters()).device == device
        return network if is_there else network.to(device)

    def _add_mixing(self, name: str, shapes: Sequence[tuple[int, ...]]) -> None:
        for i, shape in enumerate(shapes):
            weight = nn.init.kaiming_normal_(torch.empty(shape), nonlinearity="linear")
            self.register_buffer(f"{name}_{i}", weight)

    def _mixing(self, name: str) -> list[Tensor]:
        num_maps = len(self.heads) if name == "channels" else len(self.heads) - 1
        return [self.get_buffer(f"{name}_{i}") for i in range(num_maps)]


class _Head(nn.Module):
    """Small convolutional discriminator of a map."""

    def __init__(
        self,
        num_channels: int,
        width: int,
        *,
        norm: str,
        num_halvings: int,
        num_classes: int | None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for stride in [2] * num_halvings + [1]:
            layers += [nn.Conv2d(num_channels, width, 3, stride, padding=1)]
            layers += [norm_layer(norm, width), nn.LeakyReLU(0.2)]
            num_channels = width
        self.layers = nn.Sequential(*layers)
        self.classify = nn.Conv2d(width, 1, 1)
        self.classes = None if num_classes is None else nn.Linear(width, num_classes, bias=False)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Return the logits (B, places) of maps (B, C, H, W)."""
        h = self.layers(x)
        logits = self.classify(h).flatten(1)
        if self.classes is None:
            return logits
        if labels is None:
            raise ValueError("A conditional network needs labels, but got none.")
        return logits + torch.einsum("bc,bcp->bp", self.classes.weight[labels], h.flatten(2))


def _enlarge(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Enlarge maps (B, C, H, W) to `size` bilinearly, by matrices: their gradient is exact."""
    rows, columns = (
        interpolate(torch.eye(old)[None], new, mode="linear")[0].to(maps)
        for old, new in zip(maps.shape[2:], size, strict=True)
    )
    return rows.T @ maps @ columns
