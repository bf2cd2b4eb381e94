"""Maps of a frozen network at several depths, for losses that compare features."""

__all__ = ["SMALLEST", "DeepNetwork", "FeatureLoss", "FeatureMaps"]

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

SMALLEST = 1e-8
"""Smallest size by which a loss of feature maps is divided."""


class DeepNetwork(Protocol):
    """A pretrained network with a map after each of its layers, such as EfficientNet-lite0."""

    num_depths: int
    """Number of depths, which count from 0."""
    weights_sha256: str

    def load(self) -> "DeepNetwork": ...
    def maps(self, images: Tensor, *, depths: Sequence[int]) -> list[Tensor]: ...


class FeatureMaps:
    """Maps of a frozen network, which is part of no model and no checkpoint.

    The weights of the network are loaded when they are first needed. They come from an installed
    file whose hash is checked, so a resumed run finds the same weights. The network computes in
    float32, whatever the precision of the training.

    Args:
        network: Pretrained network with maps at several depths.
        depths: Depths of the maps, ascending.
    """

    def __init__(self, *, network: DeepNetwork, depths: Sequence[int]) -> None:
        fits = all(type(depth) is int and 0 <= depth < network.num_depths for depth in depths)
        if not depths or not fits or sorted({*depths}) != list(depths):
            raise ValueError(
                f"depths={list(depths)}: must be ascending whole numbers from 0 to "
                f"{network.num_depths - 1}, the depths of {type(network).__name__}."
            )
        self._network, self._is_loaded = network, False
        self.depths = list(depths)

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights of the network."""
        return self._network.weights_sha256

    def check(self, images: Tensor, *, user: str) -> None:
        """Load the network; raise ValueError unless images have 1 or 3 channels.

        Args:
            images: Images (B, C, H, W).
            user: Name of the loss, for the message.
        """
        if images.shape[1] not in (1, 3):
            raise ValueError(
                f"{user} compares images of 1 or 3 channels, not {images.shape[1]}: choose "
                "model/losses=pixel."
            )
        self.load()

    def load(self) -> None:
        """Load the weights of the network.

        Raises:
            ValueError: If the weights are not installed, or are damaged.
        """
        if not self._is_loaded:
            network = self._network.load().requires_grad_(False).eval()
            network.to(memory_format=torch.channels_last)  # 2 to 4 times faster on a CPU
            self._is_loaded = True

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return the map float32 (B, C_l, H_l, W_l) at each depth of images (B, 1 or 3, H, W)."""
        self.load()
        self._network.to(images.device)
        with torch.autocast(images.device.type, enabled=False):
            images = images.float().contiguous(memory_format=torch.channels_last)
            return self._network.maps(images, depths=self.depths)

    def __deepcopy__(self, memo: dict[int, Any]) -> "FeatureMaps":
        """Return the same object, since it never changes: an average of weights shares it."""
        return self


class FeatureLoss:
    """Loss of the feature maps of two images, which `Content` and `Gram` define.

    Args:
        weight: Factor of the loss in the model's sum, at least 0.
        maps: Maps of the frozen network.
    """

    key: str
    """Key of the loss in the config, for messages."""
    compares_styles = True
    """Whether the loss is a term of style transfer, whose targets of content and style differ."""

    def __init__(self, *, weight: float, maps: FeatureMaps) -> None:
        self.weight, self.maps = weight, maps
        self.num_terms = len(maps.depths)

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the pretrained weights that train the model."""
        return self.maps.weights_sha256

    def check(self, images: Tensor) -> None:
        """Load the network; raise ValueError unless images have 1 or 3 channels."""
        self.maps.check(images, user=self.key)
