"""Small convolutional classifiers, whose last hidden layer also serves as features for scores."""

__all__ = ["Classifier", "SmallClassifier"]

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from limner.networks.resolution import pad, pyramid


class Classifier(nn.Module):
    """Classifier from images (B, C, H, W) in [-1, 1] to logits (B, num_classes).

    It has levels of 3x3 convolution, batch norm, ReLU and 2x2 max pooling, then one hidden layer.

    Args:
        image_shape: Shape (C, H, W) of an image.
        num_classes: Number of classes, at least 2.
        width: Number of channels of the finest level. Each coarser level has twice as many, up
            to `max_width`.
        max_width: Largest number of channels of a level.
        num_features: Size of the hidden layer.
    """

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        num_classes: int,
        width: int,
        max_width: int,
        num_features: int,
    ) -> None:
        super().__init__()
        self.image_shape, self.num_features = tuple(image_shape), num_features
        channels, height, width_ = pyramid(image_shape, width, max_width)
        layers: list[nn.Module] = []
        for before, after in zip([image_shape[0], *channels], channels, strict=False):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        flat = channels[-1] * height * width_
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, num_features), nn.ReLU())
        self.head = nn.Linear(num_features, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the last hidden layer (B, num_features)."""
        return self.body(pad(images, self.image_shape))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, num_classes)."""
        return self.head(self.features(images))


class SmallClassifier(Classifier):
    """Classifier that first shrinks large images by a whole factor, so that it stays fast.

    The factor is the largest whole number that leaves a shorter side of `max_size` pixels or more.
    Each pixel of the smaller image is the mean of a square of pixels.

    Args:
        image_shape: Shape (C, H, W) of an image.
        max_size: Shorter side in pixels below which images are not shrunk.
        num_classes: Number of classes, at least 2.
        width: Number of channels of the finest level, see `Classifier`.
        max_width: Largest number of channels of a level.
        num_features: Size of the hidden layer.
    """

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        max_size: int,
        num_classes: int,
        width: int,
        max_width: int,
        num_features: int,
    ) -> None:
        channels, height, width_ = image_shape
        factor = max(1, min(height, width_) // max_size)
        super().__init__(
            image_shape=[channels, height // factor, width_ // factor], num_classes=num_classes,
            width=width, max_width=max_width, num_features=num_features,
        )  # fmt: skip
        self.factor = factor

    def features(self, images: Tensor) -> Tensor:
        """Return the last hidden layer (B, num_features) of images (B, C, H, W)."""
        return super().features(functional.avg_pool2d(images, self.factor))

    def extra_repr(self) -> str:
        """Return the factor, which belongs to the description of the network."""
        return f"factor={self.factor}"
