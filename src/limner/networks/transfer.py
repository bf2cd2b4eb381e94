"""Classifier on the features of a pretrained network, for transfer learning.

    logits = W bn(f(x)) + b

with the pretrained network f and, before the linear layer, a batch norm bn without weights, as in
the linear probes of He et al. (2022), appendix A.1, https://arxiv.org/abs/2111.06377. It brings
all features to one scale, so that one learning rate suits them.
"""

__all__ = ["PretrainedBackbone", "TransferClassifier"]

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


class PretrainedBackbone(Protocol):
    """A pretrained network with a vector of features, such as EfficientNet-lite0."""

    num_features: int
    weights_sha256: str

    def check_channels(self, num_channels: int, *, user: str, advice: str) -> None: ...
    def load(self) -> nn.Module: ...
    def features(self, images: Tensor) -> Tensor: ...


class TransferClassifier(nn.Module):
    """Linear classifier of the features of a pretrained network, the backbone.

    A frozen backbone never changes: its weights have no gradient, and it stays in evaluation mode,
    so that batch norm neither uses nor updates the statistics of a batch.

    Args:
        backbone: Network from images (B, 1 or 3, H, W) in [-1, 1] to features (B, num_features).
            Its pretrained weights are loaded here.
        image_shape: Shape (C, H, W) of an image, with C = 1 or 3.
        num_classes: Number of classes, at least 2.
        frozen: Whether only the linear layer is trained.
        normalise_features: Whether batch norm without weights comes before the linear layer. Its
            statistics are trained also if the backbone is frozen.
        cache_features: Whether the features of a frozen backbone may be computed once for all
            epochs.
        backbone_lr_factor: Learning rate of the backbone divided by the learning rate of the
            linear layer, above 0. It is not used if the backbone is frozen.
        size: Height and width in pixels to which images are resized, at least 32.

    Raises:
        ValueError: If a value is out of its range, or if the weights are not installed.
    """

    def __init__(
        self,
        *,
        backbone: PretrainedBackbone,
        image_shape: Sequence[int],
        num_classes: int,
        frozen: bool,
        normalise_features: bool,
        cache_features: bool,
        backbone_lr_factor: float,
        size: int,
    ) -> None:
        super().__init__()
        backbone.check_channels(image_shape[0], user="network=lite0", advice="choose network=cnn.")
        if size < 32:
            raise ValueError(f"network.size={size}: must be 32 or more (pixels).")
        if backbone_lr_factor <= 0:
            raise ValueError(
                f"network.backbone_lr_factor={backbone_lr_factor}: must be above 0. "
                "network.frozen=true keeps\nthe pretrained weights."
            )
        self.frozen, self.backbone_lr_factor, self.size = frozen, backbone_lr_factor, size
        self.has_fixed_features = frozen and cache_features
        self.backbone = backbone.load()
        self.num_features = num_features = backbone.num_features
        self.norm = (
            nn.BatchNorm1d(num_features, affine=False) if normalise_features else nn.Identity()
        )
        self.head = nn.Linear(num_features, num_classes)
        if frozen:
            self.backbone.requires_grad_(False)
            self.backbone.to(memory_format=torch.channels_last)  # 2 to 4 times faster on a CPU
        self.train()

    def train(self, mode: bool = True) -> "TransferClassifier":
        """Set the mode; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the trained weights, with the factor of the learning rate of each group."""
        groups = [{"params": list(self.head.parameters()), "lr_factor": 1.0}]
        if not self.frozen:
            weights = [weight for weight in self.backbone.parameters() if weight.requires_grad]
            groups.append({"params": weights, "lr_factor": self.backbone_lr_factor})
        return groups

    def facts(self) -> list[Any]:
        """Return all that determines the features of a frozen backbone, for the cache."""
        backbone = type(self.backbone).__qualname__, self.backbone.weights_sha256
        return [*backbone, self.size, "bilinear, antialiased"]

    def features(self, images: Tensor) -> Tensor:
        """Return the features (B, num_features) of images (B, 1 or 3, H, W) in [-1, 1]."""
        size = (self.size, self.size)
        if images.shape[2:] != size:
            images = interpolate(images, size, mode="bilinear", antialias=True)
        if self.frozen:
            images = images.contiguous(memory_format=torch.channels_last)
        return self.backbone.features(images)

    def logits(self, features: Tensor) -> Tensor:
        """Return logits (B, num_classes) of features (B, num_features)."""
        return self.head(self.norm(features))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, num_classes)."""
        return self.logits(self.features(images))
