"""Ways to condition a network on the class y of an image.

A generator or decoder (e_y, gamma_y and beta_y are learned vectors of the class):

    concat      z' = [z, e_y]                        Mirza and Osindero (2014), section 3.2
    batch_norm  h' = gamma_y (h - mean) / std + beta_y      de Vries et al. (2017), section 4

A discriminator or encoder, where phi(x) is the output of its layers and psi is linear:

    concat      x' = [x, m_y], where m_y is a learned map               Mirza and Osindero (2014)
    projection  D(x, y) = psi(phi(x)) + y^T V phi(x)      Miyato and Koyama (2018), equation 3
    auxiliary   D(x) = [psi(phi(x)), V phi(x) + b]; the softmax of the second part is P(y | x)
                                                                           Odena et al. (2017)

https://arxiv.org/abs/1411.1784, https://arxiv.org/abs/1707.00683,
https://arxiv.org/abs/1802.05637, https://arxiv.org/abs/1610.09585.

Labels are int64 (B,) in [0, num_classes). They may also be codes float (B, num_classes), such as
the codes of texts: wherever a class has a learned vector, a code has the sum of all vectors,
weighted by its numbers. So the code that is 1 for one class, and 0 for the others, equals this
class. A part with `num_classes` None is unconditional: it has no parameters and ignores labels.
"""

__all__ = [
    "DISCRIMINATOR_CONDITIONS",
    "GENERATOR_CONDITIONS",
    "ClassCode",
    "ClassMap",
    "ConditionalBatchNorm2d",
    "Head",
    "Labelled",
    "batch_norm",
    "check_classes",
    "check_condition",
    "learned_vectors",
]

from collections.abc import Sequence

import torch
from torch import Tensor, nn

GENERATOR_CONDITIONS = ("none", "concat", "batch_norm")
DISCRIMINATOR_CONDITIONS = ("none", "concat", "projection", "auxiliary")


class ClassCode(nn.Module):
    """Concatenation of codes (B, latent_dim) with embeddings (B, latent_dim) of their classes.

    The embedding is initialised from N(0, 1), the distribution of z, so that both have the same
    weight.
    """

    def __init__(self, latent_dim: int, num_classes: int | None) -> None:
        super().__init__()
        self.embedding = None if num_classes is None else nn.Embedding(num_classes, latent_dim)
        self.num_outputs = latent_dim if num_classes is None else 2 * latent_dim

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Return codes (B, num_outputs)."""
        if self.embedding is None:
            return z
        return torch.cat([z, learned_vectors(self.embedding, labels).to(z)], dim=1)


class ClassMap(nn.Module):
    """Learned map of the class that is added to images (B, C, H, W) as a further channel."""

    def __init__(self, image_shape: Sequence[int], num_classes: int | None) -> None:
        super().__init__()
        channels, *self.size = image_shape
        area = self.size[0] * self.size[1]
        self.embedding = None if num_classes is None else nn.Embedding(num_classes, area)
        self.num_channels = channels if num_classes is None else channels + 1

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Return images (B, num_channels, H, W)."""
        if self.embedding is None:
            return images
        maps = learned_vectors(self.embedding, labels).unflatten(1, (1, *self.size))
        return torch.cat([images, maps.to(images)], dim=1)


class ConditionalBatchNorm2d(nn.Module):
    """Batch norm with a scale and a shift for each class.

    The scale of a code is 1 + the weighted sum of what the scales differ from 1.
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(num_features, affine=False)
        self.scale = nn.Embedding(num_classes, num_features)
        self.shift = nn.Embedding(num_classes, num_features)
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Return maps of the shape of `x` (B, C, H, W)."""
        normed, labels = self.norm(x), _given(labels)
        if labels.is_floating_point():
            scale = 1 + labels @ (self.scale.weight - 1)
        else:
            scale = self.scale(labels)
        # in the precision of `normed`: under autocast the result would be float32
        scale, shift = (
            part[..., None, None].to(normed)
            for part in (scale, learned_vectors(self.shift, labels))
        )
        return torch.addcmul(shift, scale, normed)


def batch_norm(num_features: int, num_classes: int | None) -> nn.Module:
    """Return a batch norm layer for `Labelled`, conditional if there are classes."""
    if num_classes is None:
        return nn.BatchNorm2d(num_features)
    return ConditionalBatchNorm2d(num_features, num_classes)


class Labelled(nn.Sequential):
    """A sequence of layers that passes the labels to its conditional batch norms."""

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Apply the layers to x; labels are int64 (B,)."""
        for layer in self:
            x = layer(x, labels) if isinstance(layer, ConditionalBatchNorm2d) else layer(x)
        return x


class Head(nn.Linear):
    """The last layer of a discriminator, from features (B, num_features) to logits.

    Logits are (B,). With the condition "auxiliary" they are (B, 1 + num_classes): the logit of
    "real" first, then the logits of the classes.
    """

    def __init__(self, num_features: int, *, num_classes: int | None, condition: str) -> None:
        super().__init__(num_features, 1)
        self.condition = condition
        if condition in ("projection", "auxiliary"):
            bias = condition == "auxiliary"
            self.classes = nn.Linear(num_features, num_classes, bias=bias)

    def forward(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """Return logits (B,), or (B, 1 + num_classes) with the condition "auxiliary"."""
        logits = super().forward(features)
        if self.condition == "auxiliary":
            return torch.cat([logits, self.classes(features)], dim=1)
        if self.condition == "projection":
            logits = logits + _read(self.classes(features), _given(labels))
        return logits.squeeze(1)


def check_classes(num_classes: int | None) -> None:
    """Raise ValueError for a number of classes below 1."""
    if num_classes is not None and num_classes < 1:
        raise ValueError(
            f"network.num_classes={num_classes}: a conditional network needs data with labels. "
            "For an unconditional network: network.num_classes=null (model/condition=none)."
        )


def check_condition(
    role: str, condition: str, *, num_classes: int | None, fitting: Sequence[str]
) -> None:
    """Raise ValueError if a network does not have a condition.

    Args:
        role: "generator" or "discriminator".
        condition: Name of the condition.
        num_classes: Number of classes, or None.
        fitting: Conditions that the network has.
    """
    key = f"network.{role}_condition={condition}"
    if condition not in fitting:
        why = "this network has no batch norm; " if condition == "batch_norm" else ""
        raise ValueError(f"{key}: {why}choose one of {', '.join(fitting)}.")
    check_classes(num_classes)
    if num_classes is None and condition != "none":
        raise ValueError(
            f"{key} needs the number of classes, which model/condition=concat, projection or "
            "auxiliary sets for both networks."
        )


def learned_vectors(embedding: nn.Embedding, labels: Tensor | None) -> Tensor:
    """Return the vectors (B, D) of classes int64 (B,), or of codes float (B, num_classes)."""
    labels = _given(labels)
    return labels @ embedding.weight if labels.is_floating_point() else embedding(labels)


def _read(values: Tensor, labels: Tensor) -> Tensor:
    """Return the value (B, 1) of each class int64 (B,), or of codes float (B, num_classes)."""
    if labels.is_floating_point():
        return (values * labels).sum(1, keepdim=True)
    return values.gather(1, labels[:, None])


def _given(labels: Tensor | None) -> Tensor:
    if labels is None:
        raise ValueError(
            "A conditional network needs labels, but got none. For an unconditional network: "
            "network.num_classes=null (model/condition=none)."
        )
    return labels
