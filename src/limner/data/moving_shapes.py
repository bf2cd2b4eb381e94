"""Coloured shapes that move in a square and bounce off its borders, rendered when they are read.

A sequence is a pure function of (seed, number of the sequence). A later shape hides an earlier
shape. Positions are not rounded to pixels, and edges are smooth, see `limner.data.shapes`.
"""

__all__ = ["MovingShapes"]

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from limner.data.moving_paths import MOST, bouncing, path_draws
from limner.data.sequence_store import OpenedSequences, SequenceSettings
from limner.data.shape_kinds import distances
from limner.data.shapes import LUMA, SPLITS, STRIDE, Shapes
from limner.errors import UserError
from limner.randomness import seed_for

VERSION = 1  # part of the fingerprint: changes if the same arguments give other sequences
MARGIN = 2
"""Pixels around the largest shape in which its smooth edge and its sub-pixel shift lie."""


class MovingShapes:
    """Source of sequences of moving shapes.

    Args:
        shapes: Kinds, colours, sizes, background and seed of the shapes, and the numbers of
            sequences.
        num_shapes: Number of shapes in each sequence, from 1 to 16.
        min_step: Smallest way of a shape between two frames, as a share of the room that it can
            move in, in [0, 1].
        max_step: Largest way, in [min_step, 1].
    """

    def __init__(
        self, *, shapes: Shapes, num_shapes: int, min_step: float, max_step: float
    ) -> None:
        if not 1 <= num_shapes <= MOST:
            raise UserError(f"data.num_shapes={num_shapes}: must be from 1 to {MOST}.")
        if not 0 <= min_step <= max_step <= 1:
            raise UserError(
                f"data.source.min_step={min_step} and data.source.max_step={max_step}: must be "
                "from 0 to 1,\nand the first not above the second."
            )
        self.shapes, self.num_shapes = shapes, num_shapes
        self.min_step, self.max_step = min_step, max_step

    def open_sequences(self, settings: SequenceSettings) -> OpenedSequences:
        """Return the stores of the splits."""
        stores = {
            split: MovingShapesStore(
                self, settings.image_shape, num_frames=settings.num_frames, first=STRIDE * number,
                size=self.shapes.sizes[split],
            )
            for number, split in enumerate(SPLITS)
        }  # fmt: skip
        return OpenedSequences(stores, stores["train"].fingerprint, None)


class MovingShapesStore:
    """Store that renders moving shapes on request, on any device.

    Args:
        source: Source whose arguments determine the sequences.
        frame_shape: (C, H, W) of a frame, where C is 1 or 3.
        num_frames: Number T of frames.
        first: Number of the first sequence.
        size: Number of sequences of an epoch.
    """

    waits, endless, num_bytes = False, True, 0
    labels: Tensor | None = None
    background: str | None = None

    def __init__(
        self,
        source: MovingShapes,
        frame_shape: Sequence[int],
        *,
        num_frames: int,
        first: int,
        size: int,
    ) -> None:
        self.source, self.frame_shape = source, tuple(frame_shape)
        self.num_frames, self.first, self.size = num_frames, first, size
        self.device = torch.device("cpu")
        self.lengths = torch.full((size,), num_frames)
        self._seed = seed_for(source.shapes.seed, "moving shapes")
        own = [source.num_shapes, source.min_step, source.max_step]
        shapes = {**vars(source.shapes), "sizes": size}
        key = [VERSION, shapes, own, self.frame_shape, num_frames, first]
        self.fingerprint = hashlib.sha256(json.dumps(key).encode()).hexdigest()

    def __len__(self) -> int:
        return self.size

    def to(self, device: torch.device) -> Self:
        """Return a store that renders on `device`."""
        moved = object.__new__(type(self))
        moved.__dict__ |= vars(self) | {"device": device}
        return moved

    def gather(self, indices: Tensor, starts: Tensor | None = None) -> Tensor:
        """Render the frames, uint8 (B, T, C, H, W), at int64 `indices` (B,).

        `starts` has no effect, since a sequence has T frames.
        """
        source, shapes = self.source, self.source.shapes
        num, length = len(indices), self.num_frames
        channels, height, width = self.frame_shape
        drawn = path_draws(
            self.first + indices.to(self.device), source.num_shapes, seed=self._seed
        )
        kind, colour, size, x, y, way, step, turn = drawn.unbind(-1)
        side = min(height, width)
        radius = (shapes.min_size + (shapes.max_size - shapes.min_size) * size) * side
        places = bouncing(
            torch.stack([x, y], -1), 2 * math.pi * way,
            source.min_step + (source.max_step - source.min_step) * step, num_frames=length,
        )  # fmt: skip
        room = drawn.new_tensor([width, height]) - 2 * radius[..., None]
        centres = radius[..., None, None] + places * room[..., None, :]
        table = torch.tensor(list(shapes.colours.values()), device=self.device).float()
        table, ground = (
            self._in_channels(table),
            self._in_channels(drawn.new_tensor([shapes.background])),
        )
        frames = ground.flatten().repeat(num * length * height * width, 1)
        patch = _Patches(self.frame_shape, length, math.ceil(2 * shapes.max_size * side) + MARGIN)
        kinds, colours = _integers(kind, len(shapes.kinds)), _integers(colour, len(table))
        for k in range(source.num_shapes):
            pixels, x, y = patch.around(centres[:, k])
            own = [values[:, k].repeat_interleave(length) for values in (kinds, radius, turn)]
            share = _shares(shapes.kinds, *own, x, y)
            over = table[colours[:, k]].repeat_interleave(length, 0)[:, None, None]
            below = frames[pixels]
            frames[pixels] = below + (over - below) * share[..., None]
        frames = frames.view(num, length, height, width, channels)
        return frames.round_().byte().permute(0, 1, 4, 2, 3).contiguous()

    def _in_channels(self, colours: Tensor) -> Tensor:
        """Return colours (K, 3) as grey levels (K, 1) if the frames are grey."""
        if self.frame_shape[0] == 3:
            return colours
        return (colours @ colours.new_tensor(LUMA))[:, None]


class _Patches:
    """Squares of pixels that contain a shape in each frame."""

    def __init__(self, frame_shape: Sequence[int], num_frames: int, size: int) -> None:
        _, self.height, self.width = frame_shape
        self.num_frames, self.size = num_frames, min(size, self.height, self.width)

    def around(self, centres: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the pixels of the patches around centres, and their positions.

        Args:
            centres: Centres (B, T, 2) in pixels.

        Returns:
            Number of each pixel in the flat frames, int64 (B T, P, P), and its position to the
            right of the centre and below it in pixels, float32 (B T, P, P).
        """
        centres = centres.flatten(0, 1)
        most = centres.new_tensor([self.width - self.size, self.height - self.size])
        corner = (centres - self.size / 2).round().clamp_(min=0).minimum(most).long()
        rows = torch.arange(self.size, device=centres.device)
        columns, lines = (corner[:, i, None] + rows for i in (0, 1))
        frame = torch.arange(len(centres), device=centres.device) * self.height * self.width
        pixels = frame[:, None, None] + lines[:, :, None] * self.width + columns[:, None, :]
        x = (columns + 0.5 - centres[:, :1])[:, None, :].expand_as(pixels)
        y = (lines + 0.5 - centres[:, 1:])[:, :, None].expand_as(pixels)
        return pixels, x, y


def _shares(
    names: Sequence[str], kinds: Tensor, radius: Tensor, turn: Tensor, x: Tensor, y: Tensor
) -> Tensor:
    """Return the share of each pixel that a shape covers, float32 (B T, P, P)."""
    angle = (2 * math.pi * turn)[:, None, None]
    radius = radius[:, None, None]
    cos, sin, x, y = torch.cos(angle), torch.sin(angle), x / radius, y / radius
    distance = distances(names, kinds, cos * x + sin * y, cos * y - sin * x) * radius
    return (0.5 - distance).clamp_(0, 1)


def _integers(uniform: Tensor, num: int) -> Tensor:
    return (uniform * num).long().clamp(max=num - 1)
