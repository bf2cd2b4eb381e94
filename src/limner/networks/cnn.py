"""Small convolutional classifiers, whose last hidden layer also serves as features for scores.

`Discriminator` has the same layers: it recognises what an image shows after fewer updates than
the strided convolutions of DCGAN, wherever it is in the image.
"""

__all__ = ["Classifier", "Discriminator", "SmallClassifier"]

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from limner.networks.conditions import (
    DISCRIMINATOR_CONDITIONS,
    ClassMap,
    Head,
    check_condition,
)
from limner.networks.normalisation import check_norm, norm_layer, normalise_spectra
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


class Discriminator(nn.Module):
    """Discriminator from images (B, C, H, W) in [-1, 1] to logits (B,), large for real images.

    It has levels of 3x3 convolution, norm, leaky ReLU and 2x2 max pooling, then one hidden layer.
    A conditional discriminator takes labels (B,) as well. With the condition "auxiliary" it
    returns (B, 1 + num_classes): the logit of "real" first, then the logits of the classes.

    Args:
        image_shape: Shape (C, H, W) of an image.
        width: Number of channels of the finest level. Each coarser level has twice as many, up
            to `max_width`.
        max_width: Largest number of channels of a level.
        num_features: Size of the hidden layer.
        norm: "batch", "layer" or "none", after every convolution.
        spectral_norm: Whether to divide every weight by its largest singular value.
        num_classes: Number of classes; None for an unconditional network.
        condition: "none", "concat", "projection" or "auxiliary", see `limner.networks.conditions`.
    """

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        width: int,
        max_width: int,
        num_features: int,
        norm: str,
        spectral_norm: bool,
        num_classes: int | None,
        condition: str,
    ) -> None:
        super().__init__()
        check_condition(
            "discriminator", condition, num_classes=num_classes, fitting=DISCRIMINATOR_CONDITIONS
        )
        check_norm(norm)
        self.image_shape = tuple(image_shape)
        self.map = ClassMap(image_shape, num_classes if condition == "concat" else None)
        channels, height, width_ = pyramid(image_shape, width, max_width)
        layers: list[nn.Module] = []
        for before, after in zip([self.map.num_channels, *channels], channels, strict=False):
            layers += [nn.Conv2d(before, after, 3, padding=1), norm_layer(norm, after)]
            layers += [nn.LeakyReLU(0.2), nn.MaxPool2d(2)]
        flat = channels[-1] * height * width_
        hidden = nn.Linear(flat, num_features), nn.LeakyReLU(0.2)
        self.layers = nn.Sequential(*layers, nn.Flatten(), *hidden)
        self.classify = Head(num_features, num_classes=num_classes, condition=condition)
        if spectral_norm:
            normalise_spectra(self)

    def features(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the features (B, num_features) that the last layer reads."""
        return self.layers(pad(self.map(images, labels), self.image_shape))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (B,), or (B, 1 + num_classes) if D predicts classes."""
        return self.classify(self.features(images, labels), labels)
