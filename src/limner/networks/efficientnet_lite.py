"""EfficientNet-lite0: a small network that was trained to classify the photos of ImageNet.

Tan and Le (2019), table 1, https://arxiv.org/abs/1905.11946, with the changes of the lite version:
no squeeze-and-excitation, ReLU6 instead of swish, and a stem and a head of fixed size. A block is
the inverted residual of Sandler et al. (2018), section 3, https://arxiv.org/abs/1801.04381:

    h = ReLU6(bn(conv1x1(x)))           t times as many channels; left out if t = 1
    h = ReLU6(bn(depthwise conv(h)))    kernel k, stride s
    y = bn(conv1x1(h)), plus x if x and y have the same shape

The attributes have the names of the published tensors, so that no name is changed when they load.
"""

__all__ = ["EfficientNetLite0"]

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu6
from torch.nn.utils.fusion import fuse_conv_bn_eval

from limner.networks.imagenet_weights import SHA256, load_imagenet_weights

STAGES = (  # t, channels, number of blocks, stride of the first block, kernel
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
STEM, HEAD, NUM_CLASSES = 32, 1280, 1000
CHANNELS = (1, 3)
ENDS = (2, 4, 10, 15)
"""Index of the last block at each of the strides 4, 8, 16 and 32."""


class EfficientNetLite0(nn.Module):
    """EfficientNet-lite0 for images (B, 1 or 3, H, W) in [-1, 1], of any size.

    The constructor allocates no memory and draws no random numbers: call `load` before the first
    image. The channel of grey images is repeated three times.
    """

    channels = (24, 40, 112, 320)
    """Number of channels of each map of `stages`."""
    strides = (4, 8, 16, 32)
    """Size of an image divided by the size of each map of `stages`."""
    num_depths = 1 + sum(num_blocks for _, _, num_blocks, _, _ in STAGES)
    """Number of depths of `maps`: the stem and each block."""
    num_features, num_classes = HEAD, NUM_CLASSES
    weights_sha256 = SHA256

    def __init__(self) -> None:
        super().__init__()
        with torch.device("meta"):
            self._conv_stem = _SameConv(3, STEM, kernel_size=3, stride=2)
            self._bn0 = _norm(STEM)
            self._blocks = nn.ModuleList(_blocks())
            self._conv_head = nn.Conv2d(STAGES[-1][1], HEAD, 1, bias=False)
            self._bn1 = _norm(HEAD)
            self._fc = nn.Linear(HEAD, NUM_CLASSES)

    @staticmethod
    def check_channels(num_channels: int, *, user: str, advice: str = "") -> None:
        """Raise `ValueError` if images do not have 1 or 3 channels.

        Args:
            num_channels: Number of channels of the images.
            user: What takes the images, for the message, such as "network=lite0".
            advice: What to choose for such images, for the message.
        """
        if num_channels not in CHANNELS:
            end = f": {advice}" if advice else "."
            raise ValueError(f"{user} takes images of 1 or 3 channels, not {num_channels}{end}")

    def load(self) -> "EfficientNetLite0":
        """Load the ImageNet weights, and return the network in evaluation mode.

        The layer of ImageNet's classes gets no gradient, since no training uses it: several
        processes refuse a trained weight without use.

        Raises:
            ValueError: If the weights are not installed, or have another hash.
        """
        self.load_state_dict(load_imagenet_weights(), strict=True, assign=True)
        self._fc.requires_grad_(False)
        return self.eval()

    def fold_norms(self) -> "EfficientNetLite0":
        """Fold each batch norm of the stages into its convolution, and return the network.

        A folded network computes the same function up to rounding, in about 0.85 of the time. It
        cannot be trained, and `load` no longer fits it.
        """
        _fold(self, "_conv_stem", "_bn0")
        for block in self._blocks:
            if block.expands:
                _fold(block, "_expand_conv", "_bn0")
            _fold(block, "_depthwise_conv", "_bn1")
            _fold(block, "_project_conv", "_bn2")
        return self.eval()

    def stages(self, images: Tensor, *, num_stages: int = 4) -> list[Tensor]:
        """Return the last map of each stride: (B, C, ceil(H / stride), ceil(W / stride)).

        Args:
            images: Images (B, 1 or 3, H, W) in [-1, 1].
            num_stages: Number of maps, 1 to 4; the later layers are not computed.
        """
        return self.maps(images, depths=[end + 1 for end in ENDS[:num_stages]])

    def maps(self, images: Tensor, *, depths: Sequence[int]) -> list[Tensor]:
        """Return the maps at some depths: (B, C, ceil(H / stride), ceil(W / stride)).

        Args:
            images: Images (B, 1 or 3, H, W) in [-1, 1].
            depths: Depths in ascending order: 0 for the map of the stem, and d for the map of
                block d, from 1 to 16. Later layers are not computed.
        """
        h = self._stem(images)
        found = [h] if 0 in depths else []
        for depth in range(1, depths[-1] + 1):
            h = self._blocks[depth - 1](h)
            if depth in depths:
                found.append(h)
        return found

    def features(self, images: Tensor) -> Tensor:
        """Return the features (B, 1280) that the classes are a linear function of."""
        h = self._stem(images)
        for block in self._blocks:
            h = block(h)
        return relu6(self._bn1(self._conv_head(h))).mean((2, 3))

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits (B, 1000) of ImageNet's classes from the features (B, 1280)."""
        return self._fc(features)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (B, 1000) of ImageNet's classes."""
        return self.logits(self.features(images))

    def _stem(self, images: Tensor) -> Tensor:
        self.check_channels(images.shape[1], user="EfficientNet-lite0")
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        levels = (images + 1) * 127.5  # in [0, 255]; the network was trained on (levels - 127)/128
        return relu6(self._bn0(self._conv_stem((levels - 127) / 128)))


class _Block(nn.Module):
    """Inverted residual block, see the module's docstring."""

    def __init__(
        self, inputs: int, outputs: int, *, expansion: int, kernel_size: int, stride: int
    ) -> None:
        super().__init__()
        width = inputs * expansion
        if expansion != 1:
            self._expand_conv = nn.Conv2d(inputs, width, 1, bias=False)
            self._bn0 = _norm(width)
        self._depthwise_conv = _SameConv(
            width, width, kernel_size=kernel_size, stride=stride, groups=width
        )
        self._bn1 = _norm(width)
        self._project_conv = nn.Conv2d(width, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)
        self.expands, self.is_residual = expansion != 1, stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        h = relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        h = relu6(self._bn1(self._depthwise_conv(h)))
        h = self._bn2(self._project_conv(h))
        return h + x if self.is_residual else h


class _SameConv(nn.Conv2d):
    """Convolution with TensorFlow's padding "same": if it is odd, more at the end.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels.
        kernel_size: Size k of the kernel.
        stride: Stride s; the output has ceil(size / s) places.
        groups: Number of groups.
    """

    def __init__(
        self, inputs: int, outputs: int, *, kernel_size: int, stride: int, groups: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel_size, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        (k, _), (s, _) = self.kernel_size, self.stride
        if s == 1:  # an odd kernel needs the same padding at both ends
            padding, groups = k // 2, self.groups
            return nn.functional.conv2d(x, self.weight, self.bias, padding=padding, groups=groups)
        totals = [max((-(-size // s) - 1) * s + k - size, 0) for size in (x.shape[3], x.shape[2])]
        x = pad(x, [*itertools.chain(*((total // 2, total - total // 2) for total in totals))])
        return super().forward(x)


def _blocks() -> Iterator[_Block]:
    inputs = STEM
    for expansion, outputs, num_blocks, stride, kernel_size in STAGES:
        for i in range(num_blocks):
            yield _Block(
                inputs,
                outputs,
                expansion=expansion,
                kernel_size=kernel_size,
                stride=stride if i == 0 else 1,
            )
            inputs = outputs


def _fold(module: nn.Module, conv: str, norm: str) -> None:
    folded = fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm))
    setattr(module, conv, folded)
    setattr(module, norm, nn.Identity())


def _norm(num_channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(num_channels, eps=1e-3, momentum=0.01)  # TensorFlow's values
