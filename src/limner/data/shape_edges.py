"""Rendered pairs: the outline of a shape as the input, and the filled shape as its target.

The colour of the filled shape is that of its kind, so a model that recognises the shape knows it.
A pair is a pure function of (seed, number of the pair), rendered when it is read.
"""

__all__ = ["RenderedPictures", "ShapeEdges"]

import hashlib
import json
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from limner.data.paired_store import PairedStore
from limner.data.picture_store import PictureStore
from limner.data.shapes import LUMA, SPLITS, STRIDE, RenderedStore, Shapes
from limner.errors import UserError

VERSION = 1  # part of the fingerprint: changes if the same arguments give other pictures
LINE, PAPER = 0, 255
"""Grey levels of an outline and of what is around it."""


class ShapeEdges:
    """Source of pairs of an outline and the filled shape.

    Args:
        shapes: Shapes, with a colour for the name of each kind.
        line_width: Width of the outline as a share of the picture's side, in (0, 0.25].
    """

    def __init__(self, *, shapes: Shapes, line_width: float) -> None:
        if missing := [kind for kind in shapes.kinds if kind not in shapes.colours]:
            raise UserError(
                f"data.source.shapes.colours: names no colour for {', '.join(missing)}.\nEach of "
                "data.source.shapes.kinds needs a colour."
            )
        if not 0 < line_width <= 0.25:
            raise UserError(
                f"data.source.line_width={line_width}: must be above 0, and 0.25 at most."
            )
        self.shapes, self.line_width = shapes, line_width

    def open_pair_stores(
        self, *, image_shape: Sequence[int], input_shape: Sequence[int]
    ) -> dict[str, PairedStore]:
        """Return the store of each split, for targets and inputs (C, H, W) of these shapes."""
        stores = {}
        for i, split in enumerate(SPLITS):
            size = self.shapes.sizes[split]
            names = [f"{split} {number}" for number in range(size)]
            inputs, targets = (
                RenderedPictures(
                    self.shapes, shape, paint, first=STRIDE * i, names=names,
                    key=[VERSION, paint.__name__, self.line_width],
                )
                for shape, paint in ((input_shape, self.outlined), (image_shape, self.filled))
            )  # fmt: skip
            scale = image_shape[1] // input_shape[1]
            stores |= {split: PairedStore(inputs, targets, scale=scale)} if size else {}
        return stores

    def outlined(self, distance: Tensor, colours: Tensor, kinds: Tensor) -> Tensor:
        """Return the outlines, see `RenderedPictures`."""
        half = self.line_width * distance.shape[-1] / 2
        share = (half + 0.5 - distance.abs()).clamp(0, 1)[:, None]
        return (PAPER + (LINE - PAPER) * share).expand(-1, 3, -1, -1)

    def filled(self, distance: Tensor, colours: Tensor, kinds: Tensor) -> Tensor:
        """Return the filled shapes, see `RenderedPictures`."""
        of_kinds = [self.shapes.colours[kind] for kind in self.shapes.kinds]
        ground = distance.new_tensor(self.shapes.background)[:, None, None]
        colour = distance.new_tensor(of_kinds)[kinds][..., None, None]
        return ground + (colour - ground) * (0.5 - distance).clamp(0, 1)[:, None]


class RenderedPictures(PictureStore):
    """Store that renders square pictures of shapes when they are read.

    Args:
        shapes: Source whose arguments determine the shapes.
        image_shape: (C, H, W), where C is 1 or 3.
        paint: Function from the signed distance (B, H, W) of each pixel from the border in pixels,
            negative inside, the colour (B, 3) and the number (B,) of the kind of each shape, to
            colours (B, 3, H, W) from 0 to 255.
        first: Number of the first picture.
        names: Name of each picture, for messages.
        key: Plain data that determines what `paint` does.
    """

    def __init__(
        self,
        shapes: Shapes,
        image_shape: Sequence[int],
        paint: Callable[[Tensor, Tensor, Tensor], Tensor],
        *,
        first: int,
        names: Sequence[str],
        key: list,
    ) -> None:
        channels, height, width = image_shape
        self.rendered = RenderedStore(
            shapes, [3, height, width], first=first, size=len(names), with_labels=True
        )
        self.paint = paint
        about = [*key, self.rendered.fingerprint, list(image_shape)]
        super().__init__(
            torch.empty(0, dtype=torch.uint8),
            torch.tensor([[height, width]]).expand(len(names), 2),
            num_channels=channels,
            names=names,
            fingerprint=hashlib.sha256(json.dumps(about).encode()).hexdigest(),
            waits=False,
        )

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

    def to(self, device: torch.device) -> "RenderedPictures":
        """Return a store that renders on `device`."""
        moved = object.__new__(RenderedPictures)
        moved.__dict__ |= vars(self)
        moved.rendered = self.rendered.to(device)
        return moved

    def _whole(self, indices: Tensor) -> Tensor:
        own, distance = self.rendered.colours_and_distances(indices)
        kinds = self.rendered.labels[indices.to(distance.device)]
        colours = self.paint(distance, own, kinds)
        if self.num_channels == 1:
            luma = colours.new_tensor(LUMA)[:, None, None]
            colours = (colours * luma).sum(1, keepdim=True)
        return colours.round().byte()
