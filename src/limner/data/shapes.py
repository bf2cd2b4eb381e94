"""Rendered images of coloured shapes, whose kind, colour, size, position and angle are known.

An image is a pure function of (seed, number of the image). It is rendered when it is read and
never stored. A pixel at a signed distance d (in pixels, negative inside) from the border of the
shape has the share clip(1/2 - d, 0, 1) of the shape's colour, which smooths the edges.
"""

__all__ = ["RenderedStore", "ShapeAttributes", "Shapes"]

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from limner.data.backgrounds import parse_colour
from limner.data.picture_texts import PictureTexts
from limner.data.shape_kinds import KINDS, distances
from limner.data.sources import OpenedSource
from limner.errors import UserError
from limner.randomness import hashed, seed_for

VERSION = 1  # part of the fingerprint: changes if the same arguments give other images
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey images, as in PIL."""
NUM_COLUMNS = 8
"""Number of random numbers per image; the last two are spare."""
STRIDE = 2**40
"""Distance between the first numbers of two splits, so that no split contains another's images."""
SPLITS = ("train", "validation", "test")


class ShapeAttributes(NamedTuple):
    """What B images show."""

    kind: list[str]
    """Name of each shape's kind."""
    colour: list[str]
    """Name of each shape's colour."""
    size: Tensor
    """Radius of the circle around each shape as a share of the image's shorter side, (B,)."""
    position: Tensor
    """Centre (x from the left, y from the top) as shares of width and height, (B, 2)."""
    angle: Tensor
    """Clockwise rotation in degrees, in [0, 360), (B,)."""


class Shapes:
    """Source of images that each show one coloured shape.

    Args:
        num_train: Number of training images.
        num_validation: Number of validation images.
        num_test: Number of test images.
        seed: Seed of the images.
        kinds: Kinds of the shapes, names in `limner.data.shape_kinds`; the kind is the label.
        colours: Red, green and blue from 0 to 255, or a CSS colour, of each colour's name.
        min_size: Smallest radius as a share of the shorter side, in (0, 0.5].
        max_size: Largest radius as a share of the shorter side, in [min_size, 0.5].
        background: Colour behind the shape; transparent for images of 4 channels.
    """

    def __init__(
        self,
        *,
        num_train: int,
        num_validation: int,
        num_test: int,
        seed: int,
        kinds: Sequence[str],
        colours: Mapping[str, str | Sequence[int]],
        min_size: float,
        max_size: float,
        background: str | Sequence[int],
    ) -> None:
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown or not kinds or len(set(kinds)) < len(kinds):
            raise UserError(
                f"data.source.kinds={list(kinds)}: must be different names of shapes.\n"
                f"limner has {', '.join(KINDS)}."
            )
        if not colours:
            raise UserError("data.source.colours is empty: name a colour or more.")
        if not 0 < min_size <= max_size <= 0.5:
            raise UserError(
                f"data.source.min_size={min_size} and data.source.max_size={max_size}: must be "
                "above 0,\nat most 0.5, and the first not above the second."
            )
        self.sizes = {"train": num_train, "validation": num_validation, "test": num_test}
        for split, size in self.sizes.items():
            if not (split == "train") <= size < STRIDE:
                raise UserError(
                    f"data.source.num_{split}={size}: must be {int(split == 'train')} or more."
                )
        self.seed, self.kinds = seed, list(kinds)
        self.colours = {
            name: parse_colour(value, f"data.source.colours.{name}")
            for name, value in colours.items()
        }
        self.min_size, self.max_size = min_size, max_size
        self.background = parse_colour(background)

    def open_stores(self, image_shape: Sequence[int] | None, *, with_labels: bool) -> OpenedSource:
        """Return the stores of the splits, for images of any size.

        Raises:
            UserError: If `image_shape` is None, or has another number of channels than 1, 3, 4.
        """
        if image_shape is None or image_shape[0] not in (1, 3, 4):
            shown = "null" if image_shape is None else list(image_shape)
            raise UserError(
                f"data.image_shape={shown}: shapes are rendered with 1 (grey), 3 (RGB) or 4 "
                "(RGBA) channels\nin any size, such as data.image_shape=[3,64,64]."
            )
        stores = {
            split: RenderedStore(
                self,
                image_shape,
                first=STRIDE * i,
                size=self.sizes[split],
                with_labels=with_labels,
            )
            for i, split in enumerate(SPLITS)
        }
        classes = self.kinds if with_labels else []
        return OpenedSource(list(image_shape), classes, stores, stores["train"].fingerprint)


class RenderedStore:
    """Store that renders the images of each batch on request, on any device.

    Args:
        shapes: Source whose arguments determine the images.
        image_shape: (C, H, W), where C is 1, 3 or 4.
        first: Number of the first image.
        size: Number of images.
        with_labels: Whether the images have labels, the numbers of their kinds.
    """

    waits = False
    background: str | None = None
    num_bytes = 0
    """Memory that the images take."""
    about = PictureTexts()
    """Captions of the images."""
    texts: Tensor | None = None
    """Tokens int64 (N, L) of the captions; None without captions."""

    def __init__(
        self,
        shapes: Shapes,
        image_shape: Sequence[int],
        *,
        first: int,
        size: int,
        with_labels: bool,
    ) -> None:
        self.shapes, self.image_shape = shapes, tuple(image_shape)
        self.first, self.size = first, size
        self.device = torch.device("cpu")
        self._seed = seed_for(shapes.seed, "shapes")
        key = [VERSION, {**vars(shapes), "sizes": size}, self.image_shape, first, with_labels]
        self.fingerprint = hashlib.sha256(json.dumps(key).encode()).hexdigest()
        self.labels = self._draw(torch.arange(size)).kind if with_labels else None

    def __len__(self) -> int:
        return self.size

    def to(self, device: torch.device) -> "RenderedStore":
        """Return a store that renders on `device`."""
        moved = object.__new__(RenderedStore)
        moved.__dict__ |= vars(self)
        moved.device = device
        moved.labels = None if self.labels is None else self.labels.to(device)
        moved.texts = None if self.texts is None else self.texts.to(device)
        return moved

    def gather(self, indices: Tensor) -> Tensor:
        """Render the images, uint8 (B, C, H, W), at int64 `indices` (B,)."""
        colours, distance = self.colours_and_distances(indices)
        share = (0.5 - distance).clamp_(0, 1)
        channels, height, width = self.image_shape
        if channels == 4:
            colours = colours[:, :, None, None].expand(-1, -1, height, width)
            return torch.cat([colours, 255 * share[:, None]], 1).round_().byte()
        ground = colours.new_tensor(self.shapes.background)
        if channels == 1:
            luma = colours.new_tensor(LUMA)
            colours, ground = (colours @ luma)[:, None], (ground @ luma)[None]
        over = (colours - ground)[..., None, None] * share[:, None]
        return over.add_(ground[:, None, None]).round_().byte()

    def colours_and_distances(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return colours and outlines of the shapes at int64 `indices` (B,).

        Returns:
            Colour of each shape, float32 (B, 3) from 0 to 255, and the signed distance of each
            pixel from its border, float32 (B, H, W) in pixels, negative inside.
        """
        drawn = self._draw(indices.to(self.device))
        _, height, width = self.image_shape
        side = min(height, width)
        x = (torch.arange(width, device=self.device) + 0.5)[None, None]
        y = (torch.arange(height, device=self.device) + 0.5)[None, :, None]
        radius = (drawn.size * side)[:, None, None]
        x = (x - drawn.x[:, None, None] * width) / radius
        y = (y - drawn.y[:, None, None] * height) / radius
        cos, sin = (f(drawn.angle)[:, None, None] for f in (torch.cos, torch.sin))
        x, y = cos * x + sin * y, cos * y - sin * x
        distance = distances(self.shapes.kinds, drawn.kind, x, y) * radius
        table = torch.tensor(list(self.shapes.colours.values()), device=self.device).float()
        return table[drawn.colour], distance

    def attributes(self, indices: Tensor) -> ShapeAttributes:
        """Return what the images at int64 `indices` (B,) show."""
        drawn = self._draw(indices.to(self.device))
        names = list(self.shapes.colours)
        return ShapeAttributes(
            kind=[self.shapes.kinds[i] for i in drawn.kind.tolist()],
            colour=[names[i] for i in drawn.colour.tolist()],
            size=drawn.size,
            position=torch.stack([drawn.x, drawn.y], 1),
            angle=torch.rad2deg(drawn.angle),
        )

    def kinds_and_colours(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the numbers int64 (B,) of kinds and colours of images, which may be further ones.

        Args:
            indices: int64 (B,): numbers of images in this store, or of images that follow them.
        """
        drawn = self._draw(indices)
        return drawn.kind, drawn.colour

    def numbers(self, indices: Tensor) -> Tensor:
        """Return the number of each image among all rendered images, int64 (B,)."""
        return self.first + indices

    def _draw(self, indices: Tensor) -> "_Drawn":
        """Draw the attributes; the whole shape lies within the image."""
        numbers = self.numbers(indices)[:, None] * NUM_COLUMNS
        columns = torch.arange(NUM_COLUMNS, device=indices.device)
        uniform = hashed(numbers + columns + self._seed).float() / 2**24
        kind, colour, size, x, y, angle, *_ = uniform.unbind(1)
        low, high = self.shapes.min_size, self.shapes.max_size
        size = low + (high - low) * size
        _, height, width = self.image_shape
        x, y = (
            share + (1 - 2 * share) * draw
            for draw, share in (
                (x, size * min(height, width) / width),
                (y, size * min(height, width) / height),
            )
        )
        return _Drawn(
            _integers(kind, len(self.shapes.kinds)),
            _integers(colour, len(self.shapes.colours)),
            size, x, y, 2 * math.pi * angle,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Drawn:
    """Attributes of B images, each (B,): numbers of kind and colour, shares, and radians."""

    kind: Tensor
    colour: Tensor
    size: Tensor
    x: Tensor
    y: Tensor
    angle: Tensor


def _integers(uniform: Tensor, num: int) -> Tensor:
    return (uniform * num).long().clamp(max=num - 1)  # (1 - 2^-24) * num may be rounded up
