"""Parts of residual networks: blocks, self-attention, and the levels of a pyramid.

    block        h + 3x3(SiLU(norm(3x3(SiLU(norm(h))))))         He et al. (2016), section 3
    attention    h + 1x1(softmax(q^T k / sqrt(C)) v), over the positions of norm(h)

https://arxiv.org/abs/1603.05027, https://arxiv.org/abs/1706.03762. Norms are group norms, so the
output for an image does not depend on the rest of its batch. A level consists of `num_blocks`
blocks of one resolution. On small maps attention follows each block; its cost grows with the
fourth power of the side.
"""

__all__ = ["Levels", "Residual", "SelfAttention"]

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from limner.networks.resolution import halvings, pyramid

NUM_GROUPS = 8
RESIDUAL_GAIN = 0.1  # factor of a block's last weights, so that a block starts near the identity


class Levels:
    """The levels from the image to the coarsest map, and the layers between them.

    Args:
        image_shape: Shape (C, H, W) of an image.
        width: Number of channels of the finest level, a multiple of 8. Each coarser level has
            twice as many, up to `max_width`.
        max_width: Largest number of channels of a level.
        num_blocks: Number of residual blocks of each level, at least 1.
        attention_size: Largest shorter side, in pixels, of a level that uses self-attention;
            None for no attention.
        num_halvings: Number of halvings, one less than the number of levels. None halves until
            the shorter side has 4 to 7 pixels.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        *,
        width: int,
        max_width: int,
        num_blocks: int,
        attention_size: int | None,
        num_halvings: int | None,
    ) -> None:
        _check(width, max_width, num_blocks)
        most = halvings(image_shape)
        n = most if num_halvings is None else num_halvings
        if not 1 <= n <= most:
            raise ValueError(
                f"network: num_halvings={n} must lie between 1 and {most} for images of "
                f"{image_shape[1]}x{image_shape[2]} pixels."
            )
        channels, height, width_ = pyramid(image_shape, width, max_width)
        sides = [side * 2 ** (most - n) for side in (height, width_)]
        self.channels = [*channels, channels[-1]][: n + 1]
        """Number of channels of each level, the finest first."""
        self.coarsest = (self.channels[-1], sides[0], sides[1])
        """Shape (C, h, w) of the coarsest map."""
        self.sizes = [min(sides) * 2 ** (n - i) for i in range(n + 1)]
        """Shorter side of each level in pixels, the finest first."""
        self.num_blocks, self.attention_size = num_blocks, attention_size

    def down(self, num_inputs: int) -> list[nn.Module]:
        """Return the layers from the padded image to the normed coarsest map."""
        before = self.channels[0]
        layers: list[nn.Module] = [nn.Conv2d(num_inputs, before, 3, padding=1)]
        for i, after in enumerate(self.channels):
            if i > 0:
                layers += [nn.Conv2d(before, before, 3, stride=2, padding=1)]
            layers += self.level(i, before, after)
            before = after
        return [*layers, *_norm(before)]

    def up(self, num_outputs: int) -> list[nn.Module]:
        """Return the layers from the coarsest map to a map of the size of the padded image."""
        before, last = self.channels[-1], len(self.channels) - 1
        layers: list[nn.Module] = []
        for i, after in reversed(list(enumerate(self.channels))):
            if i < last:
                layers += [nn.Upsample(scale_factor=2), nn.Conv2d(before, before, 3, padding=1)]
            layers += self.level(i, before, after)
            before = after
        return [*layers, *_norm(before), nn.Conv2d(before, num_outputs, 3, padding=1)]

    def level(self, i: int, num_inputs: int, num_outputs: int) -> list[nn.Module]:
        """Return the layers of level i; the first may change the number of channels."""
        layers: list[nn.Module] = []
        for block in range(self.num_blocks):
            layers += [Residual(num_inputs if block == 0 else num_outputs, num_outputs)]
            if self.attention_size is not None and self.sizes[i] <= self.attention_size:
                layers += [SelfAttention(num_outputs)]
        return layers


class Residual(nn.Module):
    """Residual block from maps (B, num_inputs, h, w) to (B, num_outputs, h, w)."""

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        last = nn.Conv2d(num_outputs, num_outputs, 3, padding=1)
        self.branch = nn.Sequential(
            *_norm(num_inputs), nn.Conv2d(num_inputs, num_outputs, 3, padding=1),
            *_norm(num_outputs), _near_zero(last),
        )  # fmt: skip
        same = num_inputs == num_outputs
        self.skip = nn.Identity() if same else nn.Conv2d(num_inputs, num_outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps (B, num_outputs, h, w)."""
        return self.skip(x) + self.branch(x)


class SelfAttention(nn.Module):
    """Self-attention with one head between all positions of maps (B, num_channels, h, w)."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(NUM_GROUPS, num_channels)
        self.queries_keys_values = nn.Conv2d(num_channels, 3 * num_channels, 1)
        self.attended = _near_zero(nn.Conv2d(num_channels, num_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return maps of the shape of x (B, num_channels, h, w)."""
        parts = self.queries_keys_values(self.norm(x)).flatten(2).mT  # (B, h w, 3 C)
        seen = scaled_dot_product_attention(*parts.unsqueeze(1).chunk(3, dim=3))
        return x + self.attended(seen.squeeze(1).mT.unflatten(2, x.shape[2:]))


def _norm(num_channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.GroupNorm(NUM_GROUPS, num_channels), nn.SiLU()


def _check(width: int, max_width: int, num_blocks: int) -> None:
    for name, value in (("width", width), ("max_width", max_width)):
        if value < 1 or value % NUM_GROUPS:
            raise ValueError(f"network: {name}={value} must be a multiple of {NUM_GROUPS}.")
    if num_blocks < 1:
        raise ValueError(f"network: num_blocks={num_blocks} must be at least 1.")


def _near_zero(layer: nn.Conv2d) -> nn.Conv2d:
    layer.weight.data.mul_(RESIDUAL_GAIN)
    nn.init.zeros_(layer.bias)
    return layer
