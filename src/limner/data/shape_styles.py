"""Two styles of the same rendered shapes, as two domains between which a model translates.

A style is a colour of the ground, a brightness of the inside of the shape, and an outline in the
full colour of the shape, inside its border. Both styles show the same shapes in validation and
test, under the same names, and other shapes in training.
"""

__all__ = ["ShapeStyle", "ShapeStyles"]

from collections.abc import Sequence

from torch import Tensor

from limner.data.backgrounds import parse_colour
from limner.data.shape_edges import RenderedPictures
from limner.data.shapes import SPLITS, STRIDE, Shapes
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

    def paint(self, distance: Tensor, colours: Tensor, kinds: Tensor) -> Tensor:
        """Return the pictures of shapes, see `limner.data.shape_edges.RenderedPictures`."""
        width = self.outline * distance.shape[-1]
        shape, inside = ((0.5 - d).clamp(0, 1)[:, None] for d in (distance, distance + width))
        ground = colours.new_tensor(self.ground)[:, None, None]
        dimmed = colours[..., None, None] * (1 + (self.brightness - 1) * inside)
        return ground + (dimmed - ground) * shape


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

    def open_domains(self, num_channels: int) -> dict[str, dict[str, RenderedPictures]]:
        """Return the store of each split of the domains "a" and "b"."""
        return {
            letter: {
                split: self._store(style, num_channels, split, others=letter == "b")
                for split, number in self.shapes.sizes.items()
                if number
            }
            for letter, style in self.styles.items()
        }

    def _store(
        self, style: ShapeStyle, num_channels: int, split: str, *, others: bool
    ) -> RenderedPictures:
        """Return the store of a split; `others` asks for other shapes to train on."""
        number = self.shapes.sizes[split]
        return RenderedPictures(
            self.shapes, [num_channels, self.size, self.size], style.paint,
            first=STRIDE * SPLITS.index(split) + (number if others and split == "train" else 0),
            names=[f"{split} {i}" for i in range(number)],
            key=[VERSION, vars(style)],
        )  # fmt: skip
