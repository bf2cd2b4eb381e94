"""PixelCNN: distributions of images and of maps of codes, value by value.

    p(x | y) = prod_i p(x_i | x_1 ... x_(i-1), y)

The order is row by row, column by column, and then channel by channel. The features of earlier
pixels come from `limner.networks.gated_stacks`: van den Oord et al. (2016),
https://arxiv.org/abs/1601.06759 and https://arxiv.org/abs/1606.05328. As in PixelCNN++ (Salimans
et al., 2017, section 2.2, https://arxiv.org/abs/1701.05517), the features read whole pixels. A
small network of each channel then reads the features and the earlier channels of the same pixel.
"""

__all__ = ["CodePixelCNN", "PixelCNN"]

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from limner.networks.gated_stacks import GatedStacks
from limner.networks.transformer import draw_codes

Draw = Callable[[Tensor, Tensor], Tensor]


class PixelCNN(nn.Module):
    """Parameters of the distribution of each value of an image, given all earlier values.

    Args:
        image_shape: Shape (C, H, W) of an image.
        params_per_value: Number of parameters that the likelihood needs for each value.
        width: Number of channels of each stack.
        num_layers: Number of gated layers, at least 1.
        first_kernel_size: Odd size of the window of the first layer, 3 or more.
        kernel_size: Odd size of the windows of the gated layers, 3 or more.
        dropout: Share of the values of each layer's update that is dropped in training, in [0, 1).
        num_classes: Number of classes; None for an unconditional network.
    """

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        params_per_value: int,
        width: int,
        num_layers: int,
        first_kernel_size: int,
        kernel_size: int,
        dropout: float,
        num_classes: int | None,
    ) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        channels, *size = self.image_shape
        self.stacks = GatedStacks(
            in_channels=channels, map_size=tuple(size), width=width, num_layers=num_layers,
            first_kernel_size=first_kernel_size, kernel_size=kernel_size, dropout=dropout,
            num_classes=num_classes,
        )  # fmt: skip
        self.head = _Head(channels, width, params_per_value)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the parameters (B, C * params_per_value, H, W).

        The parameters of a value do not depend on this value and later values.

        Args:
            images: Images (B, C, H, W) in [-1, 1].
            labels: Classes int64 (B,) of a conditional network.
        """
        return self.head(self.stacks(images, labels), images)

    @torch.no_grad()
    def sample(
        self,
        *,
        draw: Draw,
        uniform: Tensor,
        labels: Tensor | None = None,
        start: Tensor | None = None,
    ) -> Tensor:
        """Draw images (B, C, H, W); an image costs the arithmetic of one `forward`.

        Args:
            draw: Function that draws values (B, 1, 1, 1) in [-1, 1] by their parameters
                (B, params_per_value, 1, 1) and numbers (B, 1, 1, 1).
            uniform: Numbers (B, C, H, W) from U[0, 1), one for each value.
            labels: Classes int64 (B,) of a conditional network.
            start: First rows (B, C, h, W) of the images, with h <= H; None to draw all rows.
        """
        uniform = uniform.to(self.stacks.positions.device)
        images = torch.zeros_like(uniform, dtype=self.stacks.positions.dtype)
        num_given = 0 if start is None else start.shape[2]
        if start is not None:
            images[:, :, :num_given] = start
        walk = self.stacks.walk(len(images), labels)
        for row in range(images.shape[2]):
            walk.begin_row()
            for column in range(images.shape[3]):
                here = (..., slice(row, row + 1), slice(column, column + 1))
                if row >= num_given:
                    self._draw_pixel(images[here], walk.features(column), draw, uniform[here])
                walk.write(column, images[here][..., 0, 0])
        return images

    def _draw_pixel(self, pixel: Tensor, features: Tensor, draw: Draw, uniform: Tensor) -> None:
        """Draw the channels of a pixel (B, C, 1, 1), in order, and write them into `pixel`."""
        for channel in range(pixel.shape[1]):
            params = self.head.of_channel(channel, features, pixel)
            own = slice(channel, channel + 1)
            pixel[:, own] = draw(params, uniform[:, own])


class CodePixelCNN(nn.Module):
    """Distribution over maps of codes in [0, num_codes), as sequences (B, H * W) row by row.

    Args:
        num_codes: Number of entries of the codebook.
        map_size: Size (H, W) of a map.
        width: Number of channels of each stack, and size of the embeddings.
        num_layers: Number of gated layers, at least 1.
        first_kernel_size: Odd size of the window of the first layer, 3 or more.
        kernel_size: Odd size of the windows of the gated layers, 3 or more.
        dropout: Share of the values of each layer's update that is dropped in training, in [0, 1).
        num_classes: Number of classes; None for an unconditional network.
    """

    def __init__(
        self,
        *,
        num_codes: int,
        map_size: Sequence[int],
        width: int,
        num_layers: int,
        first_kernel_size: int,
        kernel_size: int,
        dropout: float,
        num_classes: int | None,
    ) -> None:
        super().__init__()
        self.num_codes, self.map_size = num_codes, tuple(map_size)
        self.embedding = nn.Embedding(num_codes, width)
        self.stacks = GatedStacks(
            in_channels=width, map_size=self.map_size, width=width, num_layers=num_layers,
            first_kernel_size=first_kernel_size, kernel_size=kernel_size, dropout=dropout,
            num_classes=num_classes,
        )  # fmt: skip
        self.head = _Head(1, width, num_codes)

    def forward(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (B, H * W, num_codes); the logits at t depend on the codes before t.

        Args:
            codes: Sequences int64 (B, H * W).
            labels: Classes int64 (B,) of a conditional network.
        """
        maps = self.embedding(codes).transpose(1, 2).unflatten(2, self.map_size)
        return self.head(self.stacks(maps, labels), None).flatten(2).transpose(1, 2)

    def log_prob(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return log p (B,) of sequences (B, H * W), in nats."""
        logits = self.forward(codes, labels).float().flatten(0, 1)
        return -cross_entropy(logits, codes.flatten(), reduction="none").view_as(codes).sum(1)

    @torch.no_grad()
    def sample(
        self,
        num_sequences: int,
        *,
        temperature: float,
        top_k: int | None,
        labels: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Draw sequences int64 (num_sequences, H * W), the same sequences on every device.

        Args:
            num_sequences: Number of sequences.
            temperature: Divisor of the logits, above 0; 1 samples from the model's distribution.
            top_k: Number of the likeliest codes to draw from; None for all codes.
            labels: Classes int64 (num_sequences,) of a conditional network.
            generator: Generator of the CPU.
        """
        height, width = self.map_size
        u = torch.rand(height * width, num_sequences, generator=generator)
        u = u.to(self.embedding.weight.device)
        walk = self.stacks.walk(num_sequences, labels)
        codes = []
        for position in range(height * width):
            column = position % width
            if column == 0:
                walk.begin_row()
            logits = self.head(walk.features(column), None).flatten(1).float() / temperature
            codes.append(draw_codes(logits, u[position], top_k))
            walk.write(column, self.embedding(codes[-1]))
        return torch.stack(codes, dim=1)


class _Head(nn.Module):
    """Parameters of each channel, given the features and the earlier channels of a pixel."""

    def __init__(self, channels: int, width: int, params_per_value: int) -> None:
        super().__init__()
        self.channels, self.params_per_value = channels, params_per_value
        self.features = nn.Conv2d(width, channels * width, 1)
        self.earlier = nn.ModuleList(
            nn.Conv2d(channel, width, 1, bias=False) for channel in range(1, channels)
        )
        self.params = nn.ModuleList(nn.Conv2d(width, params_per_value, 1) for _ in range(channels))

    def forward(self, features: Tensor, images: Tensor | None) -> Tensor:
        """Return (B, C * params_per_value, H, W) of features (B, width, H, W) and images."""
        hidden = self.features(features.relu()).chunk(self.channels, dim=1)
        parts = [self._params(c, hidden[c], images) for c in range(self.channels)]
        return torch.cat(parts, dim=1) if self.channels > 1 else parts[0]

    def of_channel(self, channel: int, features: Tensor, images: Tensor) -> Tensor:
        """Return the parameters (B, params_per_value, H, W) of one channel."""
        hidden = self.features(features.relu()).chunk(self.channels, dim=1)[channel]
        return self._params(channel, hidden, images)

    def _params(self, channel: int, hidden: Tensor, images: Tensor | None) -> Tensor:
        if channel > 0:
            hidden = hidden + self.earlier[channel - 1](images[:, :channel])
        return self.params[channel](hidden.relu())
