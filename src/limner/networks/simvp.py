"""SimVP of Gao et al. (2022), https://arxiv.org/abs/2206.05099: prediction without recurrence.

    encoder      each frame alone: fold, then 3x3 convolutions
    translator   all frames at once: their maps are stacked as channels, B blocks
    decoder      each predicted frame alone: 3x3 convolutions, then unfold

A block is the gated spatiotemporal attention of Tan et al. (2022), https://arxiv.org/abs/2211.12509:

    x + s_1 * attention(norm(x)),  then  x + s_2 * mlp(norm(x))

    attention(x) = 1x1(u * sigmoid(g))
    [u, g] = 1x1(dilated depthwise 7x7(depthwise 5x5(gelu(1x1(x)))))

The paper halves frames with strided convolutions; here folding (space to depth) does it, so that
no convolution works on full resolution.
"""

__all__ = ["SimVP"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from limner.networks.doubling import mirrored

FIRST_SCALE = 0.1  # first value of the factors s of a block's branches
DILATION = 3


class SimVP(nn.Module):
    """Network that predicts a fixed number of frames at once from a fixed number of frames.

    A logit l stands for the value tanh(l / 2) of a pixel, in (-1, 1). For more frames than
    `num_targets`, the network is applied again to the frames that it has predicted.

    Args:
        image_shape: Shape (C, H, W) of a frame; only C matters.
        num_inputs: Number of frames that the network reads, at least 1.
        num_targets: Number of frames that the network predicts at once, at least 1.
        width: Number of channels of the maps of each frame.
        num_layers: Number of convolutions of the encoder and of the decoder, at least 1.
        hidden: Number of channels of the translator.
        num_blocks: Number of blocks of the translator, at least 1.
        patch: Height and width of the square of pixels that is folded into channels.
    """

    scale = 1
    """Height of a predicted frame divided by the height of an input frame."""
    feeds_back = False
    """Whether the network reads its own predictions, so that it can read true frames instead."""

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        num_inputs: int,
        num_targets: int,
        width: int,
        num_layers: int,
        hidden: int,
        num_blocks: int,
        patch: int,
    ) -> None:
        if min(num_layers, num_blocks) < 1:
            raise ValueError("network.predictor.num_layers and num_blocks: must be 1 or more.")
        super().__init__()
        self.num_inputs, self.num_targets, self.patch = num_inputs, num_targets, patch
        folded = image_shape[0] * patch**2
        self.encoder = nn.Sequential(
            *(_layer(folded if i == 0 else width, width) for i in range(num_layers))
        )
        self.translator = nn.Sequential(
            nn.Conv2d(num_inputs * width, hidden, 1),
            *(_Block(hidden) for _ in range(num_blocks)),
            nn.Conv2d(hidden, num_targets * width, 1),
        )
        self.decoder = nn.Sequential(
            *(_layer(width, width) for _ in range(num_layers)), nn.Conv2d(width, folded, 1)
        )

    def forward(self, inputs: Tensor, num_targets: int) -> Tensor:
        """Return the logits of the predicted frames, (B, num_targets, C, H, W).

        Args:
            inputs: Known frames (B, num_inputs, C, H, W) in [-1, 1].
            num_targets: Number of frames to predict, at least 1.
        """
        parts, known = [self._next(inputs)], inputs
        while sum(part.shape[1] for part in parts) < num_targets:
            guessed = torch.tanh(parts[-1].float() / 2).to(inputs.dtype)
            known = torch.cat([known, guessed], 1)[:, -self.num_inputs :]
            parts.append(self._next(known))
        return torch.cat(parts, 1)[:, :num_targets]

    def _next(self, inputs: Tensor) -> Tensor:
        height, width = inputs.shape[3:]
        frames = mirrored(inputs.flatten(0, 1), multiple=self.patch)
        maps = self.encoder(pixel_unshuffle(frames, self.patch))
        maps = self.translator(maps.unflatten(0, (-1, self.num_inputs)).flatten(1, 2))
        maps = maps.unflatten(1, (self.num_targets, -1)).flatten(0, 1)
        logits = pixel_shuffle(self.decoder(maps), self.patch)[..., :height, :width]
        # losses of logits in bfloat16 would be rounded
        return logits.unflatten(0, (-1, self.num_targets)).to(inputs.dtype)


class _Block(nn.Module):
    """Gated spatiotemporal attention and a perceptron of each place, on maps (B, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(1, channels) for _ in range(2))
        self.attention = nn.Sequential(
            nn.Conv2d(channels, channels, 1),
            nn.GELU(),
            nn.Conv2d(channels, channels, 5, padding=2, groups=channels),
            nn.Conv2d(
                channels, channels, 7, padding=3 * DILATION, dilation=DILATION, groups=channels
            ),
            nn.Conv2d(channels, 2 * channels, 1),
            nn.GLU(1),
            nn.Conv2d(channels, channels, 1),
        )
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 1), nn.GELU(), nn.Conv2d(2 * channels, channels, 1)
        )
        self.scales = nn.Parameter(torch.full((2, channels, 1, 1), FIRST_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.scales[0] * self.attention(self.norms[0](x))
        return x + self.scales[1] * self.mlp(self.norms[1](x))


def _layer(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.GroupNorm(2, after), nn.SiLU())
