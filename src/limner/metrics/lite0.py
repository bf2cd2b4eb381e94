"""Features of EfficientNet-lite0, which knows ImageNet's photos and needs no download.

The network has seen neither the data set nor its labels. Its features serve photos without labels
on machines without Inception's weights. They notice noise that a person hardly sees: compare
scores only with scores of the same protocol, and with their floor.
"""

__all__ = ["Lite0Features"]

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from limner.errors import UserError
from limner.interfaces import Features, RealImages
from limner.pixels import to_float


class Lite0Features:
    """Pooled features (B, 1280) and ImageNet's logits (B, 1000) of EfficientNet-lite0.

    The channel of grey images is repeated three times.

    Args:
        network: `limner.networks.efficientnet_lite.EfficientNetLite0`.
        size: Height and width in pixels to which images are resized, at least 32.
    """

    suffix = "_lite0"

    def __init__(self, *, network: nn.Module, size: int) -> None:
        if size < 32:
            raise ValueError(f"metrics.features.size={size}: must be 32 or more (pixels).")
        self.size, self._network = size, network
        self.num_features, self.num_logits = network.num_features, network.num_classes

    def prepare(self, real: RealImages | None) -> None:
        """Load the weights, and check the number of channels.

        Raises:
            UserError: If the weights are not installed, or images do not have 1 or 3 channels.
        """
        if real is not None and real.image_shape[0] not in (1, 3):
            raise UserError(
                f"metrics=lite0 takes images of 1 or 3 channels, not {real.image_shape[0]}: "
                "metrics=classifier takes\nany number of channels."
            )
        try:
            self._network.load()
        except ValueError as error:
            raise UserError(f"metrics=lite0: {error}") from error
        self._network.requires_grad_(False).to(memory_format=torch.channels_last)

    def to(self, device: torch.device) -> "Lite0Features":
        """Move the network to a device."""
        self._network.to(device)
        return self

    def __call__(self, images: Tensor) -> Features:
        """Return the features and logits of uint8 images (B, 1 or 3, H, W)."""
        with torch.no_grad():
            size = (self.size, self.size)
            resized = interpolate(to_float(images), size, mode="bilinear", antialias=True)
            resized = resized.contiguous(memory_format=torch.channels_last)
            features = self._network.features(resized)
            return Features(features, self._network.logits(features))

    def protocol(self) -> dict[str, Any]:
        """Return the facts about the network that comparisons of scores need."""
        return {
            "feature_network": f"EfficientNet-lite0 (ImageNet), {self.num_features} features",
            "weights_sha256": self._network.weights_sha256,
            "resize": f"{self.size}x{self.size}, bilinear, antialiased",
        }
