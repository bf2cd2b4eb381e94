"""Gated convolutions whose output at a pixel depends on earlier pixels only, row by row.

Two stacks of layers share each map. The vertical stack v reads the rows above a pixel, and the
horizontal stack h reads the pixels to the left in the same row, and v. Layer by layer

    v' = v + g(V * v + b_y)        h' = h + W g(H * h + U v' + c_y)
    g([a, b]) = tanh(a / 2) sigmoid(b)

where * is a convolution and y an optional class. No earlier pixel is hidden in a blind spot:
van den Oord et al. (2016), section 2, https://arxiv.org/abs/1606.05328. Unlike in the paper, v has
a residual connection too, a position of the map has a learned vector, and no convolution has a
mask: the first layer reads the map shifted by one row (v) or one column (h), and all further
layers may read their own row and column.
"""

__all__ = ["GatedStacks", "Walk"]

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from limner.networks.conditions import check_classes


class GatedStacks(nn.Module):
    """Map of features (B, width, H, W) of a map (B, in_channels, H, W).

    Args:
        in_channels: Number of channels of the map that is read.
        map_size: Size (H, W) of the map.
        width: Number of channels of each stack.
        num_layers: Number of gated layers, at least 1.
        first_kernel_size: Odd size of the window of the first convolutions, which reads half of
            it: the rows above and the pixels to the left.
        kernel_size: Odd size of the window of the gated layers.
        dropout: Share of the values of each layer's update of h that is dropped in training, in
            [0, 1).
        num_classes: Number of classes; None for an unconditional network.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        map_size: tuple[int, int],
        width: int,
        num_layers: int,
        first_kernel_size: int,
        kernel_size: int,
        dropout: float,
        num_classes: int | None,
    ) -> None:
        for name, size in (("first_kernel_size", first_kernel_size), ("kernel_size", kernel_size)):
            if size < 3 or size % 2 == 0:
                raise ValueError(f"network.{name}={size}: must be an odd number, 3 or more.")
        check_classes(num_classes)
        super().__init__()
        self.width, self.num_classes = width, num_classes
        half = first_kernel_size // 2
        self.first_v = nn.Conv2d(in_channels, width, (half, first_kernel_size))
        self.first_h = nn.Conv2d(in_channels, width, (1, half))
        self.positions = nn.Parameter(torch.zeros(2, width, *map_size))
        self.layers = nn.ModuleList(
            _Layer(width, kernel_size, dropout, num_classes) for _ in range(num_layers)
        )

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return features (B, width, H, W); features at a pixel depend on earlier pixels only.

        Args:
            x: Map (B, in_channels, H, W).
            labels: Classes int64 (B,) of a conditional network.
        """
        rows, columns = self.first_v.kernel_size
        v = self.first_v(pad(x[:, :, :-1], (columns // 2, columns // 2, rows, 0)))
        h = self.first_h(pad(x[:, :, :, :-1], (rows, 0, 0, 0)))
        # in the precision of `v`: under autocast all sums would be float32
        v, h = (x + place.to(x) for x, place in zip((v, h), self.positions, strict=True))
        for layer in self.layers:
            v, h = layer(v, h, labels)
        return h

    def walk(self, num_maps: int, labels: Tensor | None) -> "Walk":
        """Return an evaluation that visits the pixels in order, one at a time."""
        return Walk(self, num_maps, labels)


class Walk:
    """Features of one pixel after another, with a cache of all that later pixels reuse.

        walk = stacks.walk(num_maps, labels)
        for row in range(height):
            walk.begin_row()
            for column in range(width):
                features = walk.features(column)
                walk.write(column, values)

    A whole map costs as much arithmetic as one `forward`: each layer keeps the last rows of v and
    the last columns of h that its window covers.
    """

    def __init__(self, stacks: GatedStacks, num_maps: int, labels: Tensor | None) -> None:
        self.stacks = stacks
        like = stacks.positions
        self._width = like.shape[-1]
        self._row = -1
        self._classes = [layer.classes_of(labels) for layer in stacks.layers]
        rows, columns = stacks.first_v.kernel_size
        self._above = like.new_zeros(num_maps, stacks.first_v.in_channels, rows, self._width)
        self._line = like.new_zeros(num_maps, stacks.first_v.in_channels, 1, rows + self._width)
        self._edge = columns // 2
        self._v = [
            like.new_zeros(num_maps, stacks.width, layer.rows - 1, self._width)
            for layer in stacks.layers
        ]
        self._h: list[Tensor] = []
        self._from_v: list[Tensor] = []

    def begin_row(self) -> None:
        """Compute the vertical stack of the next row, from all rows above."""
        stacks, like = self.stacks, self._above
        if self._row >= 0:
            half = self._above.shape[2]
            self._above = torch.cat([self._above[:, :, 1:], self._line[..., half:]], dim=2)
        self._row += 1
        self._line = torch.zeros_like(self._line)
        v = stacks.first_v(pad(self._above, (self._edge, self._edge, 0, 0)))
        v = v + stacks.positions[0, :, self._row, None]
        self._from_v = []
        for i, layer in enumerate(stacks.layers):
            window = torch.cat([self._v[i], v], dim=2)
            self._v[i] = window[:, :, 1:]
            seen = layer.vertical(pad(window, (layer.edge, layer.edge, 0, 0)))
            v, from_v = layer.down(v, seen, self._classes[i])
            self._from_v.append(from_v[:, :, 0])
        columns = [layer.columns for layer in stacks.layers]
        self._h = [like.new_zeros(len(like), stacks.width, n - 1) for n in columns]

    def features(self, column: int) -> Tensor:
        """Return the features (B, width, 1, 1) of the next pixel of the row."""
        stacks = self.stacks
        half = self._above.shape[2]
        window = self._line[:, :, 0, column : column + half]
        h = linear(window.flatten(1), stacks.first_h.weight.flatten(1), stacks.first_h.bias)
        h = h + stacks.positions[1, :, self._row, column]
        for i, layer in enumerate(stacks.layers):
            window = torch.cat([self._h[i], h[:, :, None]], dim=2)
            self._h[i] = window[:, :, 1:]
            seen = linear(window.flatten(1), layer.horizontal.weight.flatten(1))
            seen = _gate(seen + self._from_v[i][:, :, column])
            h = h + linear(seen, layer.mixed.weight.flatten(1), layer.mixed.bias)
        return h[:, :, None, None]

    def write(self, column: int, values: Tensor) -> None:
        """Give the values (B, in_channels) of the pixel whose features were read last."""
        self._line[:, :, 0, self._above.shape[2] + column] = values


class _Layer(nn.Module):
    """One gated layer of both stacks."""

    def __init__(
        self, width: int, kernel_size: int, dropout: float, num_classes: int | None
    ) -> None:
        super().__init__()
        self.rows = self.columns = kernel_size // 2 + 1
        self.edge = kernel_size // 2
        self.vertical = nn.Conv2d(width, 2 * width, (self.rows, kernel_size))
        self.horizontal = nn.Conv2d(width, 2 * width, (1, self.columns), bias=False)
        self.to_h = nn.Conv2d(width, 2 * width, 1)
        self.mixed = nn.Conv2d(width, width, 1)
        self.dropout = nn.Dropout(dropout)
        self.classes = None
        if num_classes is not None:
            self.classes = nn.Embedding(num_classes, 4 * width)
            nn.init.zeros_(self.classes.weight)

    def forward(self, v: Tensor, h: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        classes = self.classes_of(labels)
        seen = self.vertical(pad(v, (self.edge, self.edge, self.rows - 1, 0)))
        v, from_v = self.down(v, seen, classes)
        across = self.horizontal(pad(h, (self.columns - 1, 0, 0, 0)))
        return v, h + self.dropout(self.mixed(_gate(across + from_v)))

    def down(
        self, v: Tensor, seen: Tensor, classes: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """Return the new v, and what h reads of it, from the vertical convolution `seen` of v."""
        if classes is None:
            v = v + _gate(seen)
            return v, self.to_h(v)
        of_v, of_h = (part.to(seen) for part in classes)
        v = v + _gate(seen + of_v)
        return v, self.to_h(v) + of_h

    def classes_of(self, labels: Tensor | None) -> tuple[Tensor, Tensor] | None:
        """Return the additions (B, 2 width, 1, 1) of the classes to both stacks."""
        if self.classes is None:
            return None
        if labels is None:
            raise ValueError(
                "A conditional network needs labels, but got none. For an unconditional "
                "network: network.num_classes=null (model/condition=none)."
            )
        first, second = self.classes(labels)[..., None, None].chunk(2, dim=1)
        return first, second


def _gate(x: Tensor) -> Tensor:
    """Return tanh(a / 2) sigmoid(b) of maps [a, b] (B, 2 C, ...).

    One sigmoid of the whole map, which is contiguous, takes a tenth of the time of two functions
    of its halves in bfloat16 with adjacent channels.
    """
    a, b = x.sigmoid().chunk(2, dim=1)
    return (2 * a - 1) * b
