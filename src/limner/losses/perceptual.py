"""Distance of two images by the features of a frozen network, in content and in style.

With f_l the map (C, H, W) of stage l, divided at each place by the length of its channel vector,

    d(x, y) = sum_l w_l mean_places |f_l(x) - f_l(y)|^2 / sum_l w_l
    s(x, y) = sum_l w_l |G_l(x) - G_l(y)|^2 / sum_l w_l,   G_l = mean_places f_l f_l^T

d is in [0, 4], like the squared error of a value in [-1, 1], so the two have comparable sizes.
Unit length: Zhang et al. (2018), equation 1, https://arxiv.org/abs/1801.03924, here without their
learned weights. Style by Gram matrices: Gatys et al. (2016), equations 3 to 5,
https://doi.org/10.1109/CVPR.2016.265.
"""

__all__ = ["Perceptual", "PerceptualDistance", "StagedNetwork", "gram"]

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize


class StagedNetwork(Protocol):
    """A pretrained network with maps at several strides, such as EfficientNet-lite0."""

    channels: Sequence[int]
    weights_sha256: str

    def load(self) -> "StagedNetwork": ...
    def stages(self, images: Tensor, *, num_stages: int) -> list[Tensor]: ...


class PerceptualDistance:
    """Perceptual distance; its network is frozen, and part of no model and no checkpoint.

    The weights of the network are loaded when they are first needed. They come from an installed
    file whose hash is checked, so a resumed run finds the same weights. Networks compute in
    float32, whatever the precision of the training.

    Args:
        network: Pretrained network of maps at several strides.
        stage_weights: Weight w_l of each stage, at least 0, with a sum above 0. Stages after the
            last weight above 0 are not computed.
        min_size: Smallest height and width in pixels; smaller images are enlarged by the smallest
            whole factor that suffices.
    """

    def __init__(
        self, *, network: StagedNetwork, stage_weights: Sequence[float], min_size: int
    ) -> None:
        if len(stage_weights) != len(network.channels):
            raise ValueError(
                f"stage_weights={list(stage_weights)}: {type(network).__name__} has "
                f"{len(network.channels)} stages, so {len(network.channels)} weights are needed."
            )
        if min(stage_weights) < 0 or sum(stage_weights) <= 0:
            raise ValueError(
                f"stage_weights={list(stage_weights)}: must be 0 or more, and one above 0."
            )
        if min_size < 1:
            raise ValueError(f"min_size={min_size}: must be 1 or more (pixels).")
        self._network, self._is_loaded = network, False
        self.min_size, self.stage_weights = min_size, [float(w) for w in stage_weights]
        self.num_stages = max(i for i, w in enumerate(stage_weights, 1) if w > 0)

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights of the network."""
        return self._network.weights_sha256

    def load(self) -> None:
        """Load the weights of the network.

        Raises:
            ValueError: If the weights are not installed, or are damaged.
        """
        if not self._is_loaded:
            network = self._network.load().requires_grad_(False).eval()
            network.to(memory_format=torch.channels_last)  # 2 to 4 times faster on a CPU
            self._is_loaded = True

    def __call__(self, images: Tensor, others: Tensor) -> Tensor:
        """Return the distances d (B,) of images (B, 1 or 3, H, W) in [-1, 1]."""
        pairs = zip(*self._features(images, others), strict=True)
        return self._weighted([(f - g).square().sum(1).mean((1, 2)) for f, g in pairs], images)

    def style(self, images: Tensor, others: Tensor) -> Tensor:
        """Return the distances s (B,) of the Gram matrices; the order of places does not matter.

        The two batches may differ in height and width.
        """
        pairs = zip(*self._features(images, others), strict=True)
        found = [(gram(f) - gram(g)).square().sum((1, 2)) for f, g in pairs]
        return self._weighted(found, images)

    def __deepcopy__(self, memo: dict[int, Any]) -> "PerceptualDistance":
        """Return the same object, since it never changes: an average of weights shares it."""
        return self

    def _features(self, *batches: Tensor) -> list[list[Tensor]]:
        """Return the maps of unit length of each batch, for the stages with a weight above 0."""
        self.load()
        self._network.to(batches[0].device)
        with torch.autocast(batches[0].device.type, enabled=False):
            return [self._maps(images) for images in batches]

    def _maps(self, images: Tensor) -> list[Tensor]:
        images = images.float()
        factor = -(-self.min_size // min(images.shape[2:]))
        if factor > 1:  # by copies of pixels: on a GPU, only this mode has an exact gradient
            images = interpolate(images, scale_factor=factor, mode="nearest")
        images = images.contiguous(memory_format=torch.channels_last)
        maps = self._network.stages(images, num_stages=self.num_stages)
        weighted = zip(self.stage_weights, maps, strict=False)
        return [normalize(m, dim=1, eps=1e-6) for weight, m in weighted if weight > 0]

    def _weighted(self, distances: Sequence[Tensor], images: Tensor) -> Tensor:
        weights = [w for w in self.stage_weights if w > 0]
        total = sum(w * d for w, d in zip(weights, distances, strict=True))
        return (total / sum(weights)).to(images.dtype)


class Perceptual:
    """Perceptual distance as a loss of image-to-image models.

    Args:
        weight: Factor of the loss in the model's sum, at least 0.
        distance: Distance of two batches of images.
    """

    def __init__(self, *, weight: float, distance: PerceptualDistance) -> None:
        self.weight, self.distance = weight, distance

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the pretrained weights that train the model."""
        return self.distance.weights_sha256

    def check(self, images: Tensor) -> None:
        """Load the network; raise ValueError unless images have 1 or 3 channels."""
        if images.shape[1] not in (1, 3):
            raise ValueError(
                f"model/losses=perceptual compares images of 1 or 3 channels, not "
                f"{images.shape[1]}: leave it out."
            )
        self.distance.load()

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the distances (B,) of outputs (B, C, H, W) and targets in [-1, 1]."""
        return self.distance(output, target)


def gram(maps: Tensor) -> Tensor:
    """Return the mean over all places of the product of each pair of channels, (B, C, C)."""
    vectors = maps.flatten(2)
    return vectors @ vectors.transpose(1, 2) / vectors.shape[2]
