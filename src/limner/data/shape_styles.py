"""Two styles of the same rendered shapes, as two domains between which a model translates.

A style is a colour of the ground, a brightness of the inside of the shape, and an outline in the
full colour of the shape, inside its border. Both styles show the same shapes in validation and
test, under the same names, and other shapes in training.
"""

__all__ = ["ShapeStyle", "ShapeStyles", "StyledStore"]

import hashlib
import json
from collections.abc import Sequence

import torch
from torch import Tensor

from limner.data.backgrounds import parse_colour
from limner.data.picture_store import PictureStore
from limner.data.shapes import LUMA, SPLITS, STRIDE, RenderedStore, Shapes
from limner.errors import UserError

VERSION = 1  # part of the fingerprint: changes if the same arguments give other pictures


class ShapeStyle:
    """How a shape is drawn.

    Args:
        ground: Colour behind the shape: a name, "#rrggbb", or [R, G, B] from 0 to 255.
        brightness: Brightness of the inside as a share of the shape's colour, in [0, 1].
        outline: Width of the outline as a share of the picture's side, in [0, 0.5].
    """

    def __init__(self, *, ground: str | Sequence[int], brightness: float, outline: float) -> None:
        if not 0 <= brightness <= 1 or not 0 <= outline <= 0.5:
            raise UserError(
                f"brightness={brightness} and outline={outline} of a style in data.source: must "
                "be from\n0 to 1, and from 0 to 0.5."
            )
        self.ground = parse_colour(ground, "ground of a style in data.source")
        self.brightness, self.outline = brightness, outline


class ShapeStyles:
    """Source of two domains: the same shapes in two styles.

    Args:
        shapes: Shapes of both domains.
        size: Height and width of the pictures.
        a: Style of domain a.
        b: Style of domain b.
    """

    def __init__(self, *, shapes: Shapes, size: int, a: ShapeStyle, b: ShapeStyle) -> None:
        self.shapes, self.size, self.styles = shapes, size, {"a": a, "b": b}

    def open_domains(self, num_channels: int) -> dict[str, dict[str, "StyledStore"]]:
        """Return the store of each split of the domains "a" and "b"."""
        numbers = self.shapes.sizes
        first = {split: STRIDE * i for i, split in enumerate(SPLITS)}
        return {
            letter: {
                split: StyledStore(
                    self.shapes, style, [num_channels, self.size, self.size], split=split,
                    first=first[split] + (letter == "b" and split == "train") * numbers["train"],
                    size=numbers[split],
                )
                for split in SPLITS
                if numbers[split]
            }
            for letter, style in self.styles.items()
        }  # fmt: skip


class StyledStore(PictureStore):
    """Store that renders square pictures of shapes in a style when they are read.

    Args:
        shapes: Source whose arguments determine the shapes.
        style: Style of the pictures.
        image_shape: (C, H, W), where C is 1 or 3.
        split: Name of the split, the first part of the name of each picture.
        first: Number of the first picture.
        size: Number of pictures.
    """

    def __init__(
        self, shapes: Shapes, style: ShapeStyle, image_shape: Sequence[int], *, split: str,
        first: int, size: int,
    ) -> None:  # fmt: skip
        channels, height, width = image_shape
        self.rendered = RenderedStore(
            shapes, [3, height, width], first=first, size=size, with_labels=False
        )
        key = [VERSION, self.rendered.fingerprint, vars(style), list(image_shape)]
        super().__init__(
            torch.empty(0, dtype=torch.uint8),
            torch.tensor([height, width]).expand(size, 2),
            num_channels=channels,
            names=[f"{split} {i}" for i in range(size)],
            fingerprint=hashlib.sha256(json.dumps(key).encode()).hexdigest(),
            waits=False,
        )
        self.style = style

    def picture(self, i: int) -> Tensor:
        """Return picture number i, uint8 (C, H, W)."""
        return self._whole(torch.tensor([i]))[0]

    def gather(self, indices: Tensor, boxes: Tensor, *, size: Sequence[int]) -> Tensor:
        """Return a crop of each picture, uint8 (B, C, h, w), as `PictureStore.gather`."""
        whole, (height, width) = self._whole(indices), size
        if whole.shape[2:] == (height, width):
            return whole
        corners = zip(whole, boxes.tolist(), strict=True)
        return torch.stack([p[:, y : y + height, x : x + width] for p, (y, x) in corners])

    def to(self, device: torch.device) -> "StyledStore":
        """Return a store that renders on `device`."""
        moved = object.__new__(StyledStore)
        moved.__dict__ |= vars(self)
        moved.rendered = self.rendered.to(device)
        return moved

    def _whole(self, indices: Tensor) -> Tensor:
        colours, distance = self.rendered.colours_and_distances(indices)
        width = self.style.outline * distance.shape[-1]
        shape, inside = ((0.5 - d).clamp(0, 1)[:, None] for d in (distance, distance + width))
        ground = colours.new_tensor(self.style.ground)
        if self.num_channels == 1:
            luma = colours.new_tensor(LUMA)
            colours, ground = (colours @ luma)[:, None], (ground @ luma)[None]
        colours, ground = colours[..., None, None], ground[:, None, None]
        dimmed = colours * (1 + (self.style.brightness - 1) * inside)
        return (ground + (dimmed - ground) * shape).round_().byte()
