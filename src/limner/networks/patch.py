"""Discriminator of patches (PatchGAN), Isola et al. (2017), https://arxiv.org/abs/1611.07004.

    4x4 / 2, LReLU, n - 1 times (4x4 / 2, norm, LReLU), 4x4, norm, LReLU, 4x4 -> a logit per patch

Each logit judges a patch of 16, 34, 70 or 142 pixels (n = 1, 2, 3, 4). Convolutions are padded by
a pixel, and the number of logits is smaller than in a 2^n-th of the image by 2 in each direction.
A loss is computed for each logit, and its mean is minimised.
"""

__all__ = ["Discriminator"]

from collections.abc import Sequence

from torch import Tensor, nn

from limner.networks.doubling import instance_norm
from limner.networks.normalisation import normalise_spectra

HALVINGS = {16: 1, 34: 2, 70: 3, 142: 4}
"""Number of halvings by the receptive field in pixels."""
NORMS = ("instance", "spectral", "none")


class Discriminator(nn.Module):
    """Discriminator from images (B, C, H, W) in [-1, 1] to logits (B, K) of K patches.

    If it sees the input, it reads the channels of the input behind the channels of the image.

    Args:
        image_shape: Shape (C, H, W) of a crop of an image.
        input_shape: Shape (C_in, h, w) of an input; only C_in matters.
        sees_input: Whether the images have the channels of the input too, (B, C + C_in, H, W).
        receptive_field: Height and width in pixels of what a logit depends on: 16, 34, 70 or 142.
            With instance norm, a logit also depends on the statistics of the whole image.
        width: Number of channels of the first layer. Each further halving doubles it, up to 8
            times.
        norm: "instance", the norm of each map of each image; "spectral", of the weights; "none".
    """

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        input_shape: Sequence[int] | None,
        sees_input: bool,
        receptive_field: int,
        width: int,
        norm: str,
    ) -> None:
        _check(image_shape, receptive_field, norm)
        super().__init__()
        before = image_shape[0]
        if sees_input and input_shape is not None:
            before += input_shape[0]
        n = HALVINGS[receptive_field]
        layers: list[nn.Module] = []
        for i in range(n + 1):
            after = width * min(2**i, 8)
            stride = 2 if i < n else 1
            normed = norm == "instance" and i > 0
            layers += [_conv(before, after, stride=stride, bias=not normed)]
            layers += [instance_norm(after)] if normed else []
            layers += [nn.LeakyReLU(0.2)]
            before = after
        self.layers = nn.Sequential(*layers, _conv(before, 1, stride=1, bias=True))
        if norm == "spectral":
            normalise_spectra(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).flatten(1)


def _conv(before: int, after: int, *, stride: int, bias: bool) -> nn.Conv2d:
    """Return a 4x4 convolution; a norm behind it would remove a bias."""
    layer = nn.Conv2d(before, after, 4, stride=stride, padding=1, bias=bias)
    nn.init.kaiming_normal_(layer.weight, a=0.2)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def _check(image_shape: Sequence[int], receptive_field: int, norm: str) -> None:
    if receptive_field not in HALVINGS:
        raise ValueError(
            f"network.discriminator.receptive_field={receptive_field}: choose one of "
            f"{', '.join(map(str, HALVINGS))}."
        )
    if norm not in NORMS:
        raise ValueError(f"network.discriminator.norm={norm}: choose one of {', '.join(NORMS)}.")
    least = 3 * 2 ** HALVINGS[receptive_field]  # leaves a logit
    if min(image_shape[1:]) < least:
        raise ValueError(
            f"network.discriminator.receptive_field={receptive_field}: needs crops of {least} "
            f"pixels or more, and data.image_shape is {list(image_shape)}."
        )
