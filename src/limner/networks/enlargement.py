"""Enlargement by whole factors: bicubic interpolation, and convolutions with a pixel shuffle.

The bicubic kernel is Keys' with a = -0.5, as in MATLAB and Pillow. Keys (1981),
https://doi.org/10.1109/TASSP.1981.1163711. Pixel shuffle: Shi et al. (2016),
https://arxiv.org/abs/1609.05158.
"""

__all__ = ["Bicubic", "check_channels", "conv3", "enlarging", "prime_factors", "reach_before"]

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, pixel_shuffle

REACH = 2  # input pixels on each side that the bicubic kernel reads
KEYS = -0.5  # a in Keys' kernel


class Bicubic(nn.Module):
    """Bicubic enlargement of images (B, C, h, w) to (B, C, scale * h, scale * w).

    Each of the scale^2 positions within a pixel is one kernel of a 5x5 convolution. Pixels beyond
    the border repeat the pixel at the border. With scale 1, the images do not change. In mixed
    precision the enlargement keeps the precision of the images.

    Args:
        scale: Whole factor, at least 1.
    """

    def __init__(self, *, scale: int) -> None:
        super().__init__()
        self.scale = scale
        rows = [_weights((i + 0.5) / scale - 0.5) for i in range(scale)]
        kernels = [[[u * v for v in right] for u in down] for down in rows for right in rows]
        self.register_buffer("kernels", torch.tensor(kernels)[:, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        if self.scale == 1:
            return images
        channels = images.shape[1]
        padded = pad(images, (REACH,) * 4, mode="replicate")
        kernels = self.kernels.to(images.dtype).repeat(channels, 1, 1, 1)
        with torch.autocast(images.device.type, enabled=False):
            return pixel_shuffle(conv2d(padded, kernels, groups=channels), self.scale)


def enlarging(
    width: int, factors: Sequence[int], *, activation: nn.Module | None
) -> nn.Sequential:
    """Return layers that enlarge maps (B, width, h, w), with a pixel shuffle for each factor.

    Args:
        width: Number of channels.
        factors: Factors of the steps, one after the other.
        activation: Activation after each step; None for no activation.
    """
    layers: list[nn.Module] = []
    gain = 1.0 if activation is not None else math.sqrt(0.5)  # He's weights are for a ReLU
    for factor in factors:
        layers += [conv3(width, width * factor**2, gain=gain), nn.PixelShuffle(factor)]
        layers += [] if activation is None else [activation]
    return nn.Sequential(*layers)


def prime_factors(scale: int) -> list[int]:
    """Return the prime factors of a scale in ascending order; none for 1.

    Raises:
        ValueError: If the scale is below 1.
    """
    if scale < 1:
        raise ValueError(f"network.restorer.scale={scale}: must be 1 or more (data.scale).")
    factors, number = [], 2
    while scale > 1:
        while scale % number == 0:
            factors.append(number)
            scale //= number
        number += 1
    return factors


def reach_before(factors: Sequence[int], *, reach: int) -> int:
    """Return how far an output pixel sees, in pixels of the map before `enlarging`.

    Args:
        factors: Factors of the steps.
        reach: Reach of the layers after the enlargement, in their pixels.
    """
    for factor in reversed(factors):
        reach = math.ceil(reach / factor) + 1  # a pixel shuffle, and a 3x3 convolution before it
    return reach


def conv3(before: int, after: int, *, gain: float = 1.0) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps the size, with He's initial weights times `gain`.

    He et al. (2015), https://arxiv.org/abs/1502.01852. Biases start at 0.
    """
    layer = nn.Conv2d(before, after, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    with torch.no_grad():
        layer.weight.mul_(gain)
    nn.init.zeros_(layer.bias)
    return layer


def check_channels(input_shape: Sequence[int], image_shape: Sequence[int]) -> tuple[int, int]:
    """Return the numbers of channels of inputs and outputs.

    Raises:
        ValueError: If the inputs have fewer channels than the outputs.
    """
    before, after = input_shape[0], image_shape[0]
    if before < after:
        raise ValueError(
            f"data.input_shape={list(input_shape)}: the input needs the {after} channels of the "
            f"target (data.image_shape={list(image_shape)}).\nChoose data.input_channels={after}, "
            "or a network that maps between numbers of channels, such as network=unet."
        )
    return before, after


def _weights(position: float) -> list[float]:
    """Return the weights of the pixels -2 to 2 at a position in (-0.5, 0.5) around pixel 0."""
    return [_keys(abs(position - pixel)) for pixel in range(-REACH, REACH + 1)]


def _keys(x: float) -> float:
    if x >= 2:
        return 0.0
    if x >= 1:
        return KEYS * (x**3 - 5 * x**2 + 8 * x - 4)
    return (KEYS + 2) * x**3 - (KEYS + 3) * x**2 + 1
