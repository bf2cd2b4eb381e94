"""Super-resolution from several pictures of one scene: neighbouring frames, or rectified views.

    h_n = encoder(view_n);   o = attention(view_0, view_n, (view_n, W h_n, 1))    mean over n
    output = decoder(h_0 + 3x3(h_0, o)) + the reference enlarged by bicubic interpolation

h_0 are the features of the reference, which is one of the views. All views share the encoder, and
the decoder is that of EDSR (`limner.networks.edsr`). The attention places what the views show into
a finer grid of samples (`limner.networks.view_attention`). Since it is a mean over all views, with
the reference among them, any number of views may be read, the order of the others has no effect,
and equal views give the result of a single view.
"""

__all__ = ["MultiView", "ViewAttention"]

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from limner.interfaces import reference_view
from limner.networks.enlargement import Bicubic, check_channels, conv3
from limner.networks.srresnet import GAIN_OF_LAST, Residual

LITTLE = 0.1
"""Sum of weights, of 1 for each pixel, below which the mean of a sample fades to 0."""


class ViewAttention(Protocol):
    """Attention of a reference to views."""

    num_planes: int
    """Number P of the fractions of a pixel."""
    reach: int | None
    """Number of pixels on each side that weights depend on; None for a whole row."""
    radius: int
    """Largest distance of a value; not read if `reach` is None."""

    def __call__(self, reference: Tensor, views: Tensor, values: Tensor) -> Tensor:
        """Return (B, P, V, h, w) of pictures (B, C, h, w), (B, N, C, h, w) and (B, N, V, h, w)."""


class MultiView(nn.Module):
    """Network from views (B, N, C, h, w) to images (B, C, scale * h, scale * w), of any size.

    The reference is view (N - 1) // 2, the middle view. N may differ between calls. A picture
    (B, C, h, w) is read as one view.

    Args:
        input_shape: Shape (C, h, w) of a view; only C matters.
        image_shape: Shape (C, H, W) of an output; only C matters.
        scale: Whole factor between the sizes, at least 1.
        width: Number of channels of the maps.
        num_encoder_blocks: Number of residual blocks of the encoder of each view, 0 or more.
        value_width: Number of features of each view that the attention places, 0 or more.
        num_blocks: Number of residual blocks of the decoder, 0 or more.
        attention: Attention of the reference to the views.
    """

    multiple = 1
    """Number of pixels by which the borders of tiles must divide."""
    reads_views = True

    def __init__(
        self,
        *,
        input_shape: Sequence[int],
        image_shape: Sequence[int],
        scale: int,
        width: int,
        num_encoder_blocks: int,
        value_width: int,
        num_blocks: int,
        attention: ViewAttention,
    ) -> None:
        super().__init__()
        before, after = check_channels(input_shape, image_shape)
        self.scale, self.num_outputs = scale, after
        self.encoder = nn.Sequential(conv3(before, width), *_blocks(width, num_encoder_blocks))
        self.value = nn.Conv2d(width, value_width, 1)
        self.attention = attention
        self.fusion = conv3(width + attention.num_planes * (before + value_width + 1), width)
        self.body = nn.Sequential(*_blocks(width, num_blocks), conv3(width, width))
        self.tail = nn.Sequential(
            conv3(width, after * scale**2, gain=GAIN_OF_LAST), nn.PixelShuffle(scale)
        )
        self.overlap: int | None = None
        """Number of input pixels on each side that an output pixel depends on."""
        if attention.reach is not None:
            encoder, decoder = 1 + 2 * num_encoder_blocks, 3 + 2 * num_blocks
            self.overlap = decoder + max(attention.reach, encoder + attention.radius)
        self.enlarge = Bicubic(scale=scale)

    def forward(self, inputs: Tensor) -> Tensor:
        views = inputs[:, None] if inputs.dim() == 4 else inputs
        num_views = views.shape[1]
        reference = views[:, reference_view(num_views)]
        maps = self.encoder(views.flatten(0, 1))
        seen = views.flatten(0, 1).to(maps.dtype)
        values = torch.cat([seen, self.value(maps), torch.ones_like(maps[:, :1])], 1)
        placed = self.attention(reference, views, values.unflatten(0, (-1, num_views)))
        sums, weights = placed[:, :, :-1], placed[:, :, -1:]
        samples = torch.cat([sums / (weights + LITTLE), weights], 2).flatten(1, 2)
        h = maps.unflatten(0, (-1, num_views))[:, reference_view(num_views)]
        h = h + self.fusion(torch.cat([h, samples.to(h.dtype)], 1))
        return self.enlarge(reference[:, : self.num_outputs]) + self.tail(h + self.body(h))


def _blocks(width: int, number: int) -> list[Residual]:
    return [Residual(width, factor=1.0) for _ in range(number)]
