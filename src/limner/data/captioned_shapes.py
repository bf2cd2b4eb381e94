"""Rendered shapes with captions, and with combinations that the training images never show.

A caption such as "a small red circle" names the kind, the colour, and the size of a clearly small
or large shape. It is a pure function of the seed and the number of the image.
"""

__all__ = ["CaptionedShapes", "HeldOutStore", "caption_of"]

import hashlib
import json
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from limner.data.picture_texts import PictureTexts
from limner.data.shapes import RenderedStore, ShapeAttributes, Shapes
from limner.data.sources import OpenedSource
from limner.errors import UserError
from limner.randomness import hashed, seed_for

CHUNK = 10_000
TEMPLATES = (
    "a {size}{colour} {kind}", "{size}{colour} {kind}", "the {size}{colour} {kind}",
    "a {size}{kind} in {colour}", "a {size}{kind} that is {colour}",
)  # fmt: skip
CLEAR = 1 / 3
"""Share of the range of sizes at either end whose shapes are called small or large."""
VOWELS = "aeiou"


class CaptionedShapes:
    """Source of images that each show one coloured shape, with captions if wanted.

    Args:
        captions: Whether the images have captions.
        held_out: Combinations of a colour and a kind, such as "red circle", that no training image
            shows; capitals do not matter. Validation and test images show all combinations.
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
        captions: bool,
        held_out: Sequence[str],
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
        self.shapes = Shapes(
            num_train=num_train, num_validation=num_validation, num_test=num_test, seed=seed,
            kinds=kinds, colours=colours, min_size=min_size, max_size=max_size,
            background=background,
        )  # fmt: skip
        self.captions = captions
        self.combinations = sorted({self._combination(str(name)) for name in held_out})
        names = list(self.shapes.colours)
        self.held_out = sorted(
            f"{names[colour]} {self.shapes.kinds[kind]}" for kind, colour in self.combinations
        )
        self._refuse_unseen()

    def open_stores(self, image_shape: Sequence[int] | None, *, with_labels: bool) -> OpenedSource:
        """Return the stores of the splits, for images of any size, see `Shapes.open_stores`.

        Raises:
            UserError: If `image_shape` is None, or has another number of channels than 1, 3, 4.
        """
        opened = self.shapes.open_stores(image_shape, with_labels=with_labels)
        stores = dict(opened.stores)
        if self.held_out:
            stores["train"] = HeldOutStore(
                stores["train"], self.combinations, with_labels=with_labels
            )
        if self.captions:
            wholes = [getattr(each, "every_combination", each) for each in stores.values()]
            for store in {*stores.values(), *wholes}:
                store.about = PictureTexts(captions=self._captions(store))
        return opened._replace(stores=stores, description=stores["train"].fingerprint)

    def _captions(self, store: "RenderedStore | HeldOutStore") -> list[str]:
        """Return the caption of each image of a store."""
        images = torch.arange(len(store))
        draws = hashed(store.numbers(images) + seed_for(self.shapes.seed, "shape captions"))
        choices = (draws.double() / 2**24 * len(TEMPLATES)).long()
        about = store.attributes(images)
        low, high = self.shapes.min_size, self.shapes.max_size
        return [
            caption_of(about, i, template=choice, low=low, high=high)
            for i, choice in enumerate(choices.tolist())
        ]

    def _combination(self, name: str) -> tuple[int, int]:
        """Return the numbers of the kind and the colour of a combination such as "red circle"."""
        colours, kinds = list(self.shapes.colours), list(self.shapes.kinds)
        colour, _, kind = name.strip().casefold().rpartition(" ")
        folded = [each.casefold() for each in colours], [each.casefold() for each in kinds]
        if colour not in folded[0] or kind not in folded[1]:
            raise UserError(
                f"data.held_out: {name!r} must be a colour and a kind, such as "
                f"'{colours[0]} {kinds[0]}'.\nColours: {', '.join(colours)}. "
                f"Kinds: {', '.join(kinds)}."
            )
        return folded[1].index(kind), folded[0].index(colour)

    def _refuse_unseen(self) -> None:
        """Raise `UserError` if no training image shows some kind or some colour."""
        colours, out = list(self.shapes.colours), set(self.combinations)
        sides = (
            (self.shapes.kinds, len(colours), [kind for kind, _ in out]),
            (colours, len(self.shapes.kinds), [colour for _, colour in out]),
        )
        for names, most, found in sides:
            for number, name in enumerate(names):
                if found.count(number) == most:
                    raise UserError(
                        f"data.held_out has every combination with {name}, so that no training "
                        "image shows it.\nLeave one combination of each kind and colour."
                    )


class HeldOutStore:
    """The images of a store of rendered shapes that show none of the held-out combinations.

    Image i is the i-th image without such a combination, so there are as many images as before.

    Args:
        store: Store of the shapes.
        combinations: Numbers of the kind and the colour of each held-out combination.
        with_labels: Whether the images have labels, the numbers of their kinds.
    """

    waits = False
    background: str | None = None
    num_bytes = 0
    texts: Tensor | None = None

    def __init__(
        self,
        store: RenderedStore,
        combinations: Sequence[tuple[int, int]],
        *,
        with_labels: bool,
    ) -> None:
        self.store, self.about = store, PictureTexts()
        found, start = [], 0
        while sum(map(len, found)) < len(store):
            images = torch.arange(start, start + CHUNK)
            kind, colour = store.kinds_and_colours(images)
            shown = torch.zeros(len(images), dtype=torch.bool)
            for each in combinations:
                shown |= (kind == each[0]) & (colour == each[1])
            found.append(images[~shown])
            start += CHUNK
        self.images = torch.cat(found)[: len(store)]
        self.labels = store.kinds_and_colours(self.images)[0] if with_labels else None
        key = [store.fingerprint, "held out", sorted(combinations)]
        self.fingerprint = hashlib.sha256(json.dumps(key).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def device(self) -> torch.device:
        """Device on which the images are rendered."""
        return self.store.device

    @property
    def every_combination(self) -> RenderedStore:
        """Store of as many images of all combinations, for networks that judge images."""
        return self.store

    def to(self, device: torch.device) -> "HeldOutStore":
        """Return a store that renders on `device`."""
        moved = object.__new__(HeldOutStore)
        moved.__dict__ |= {
            name: value.to(device) if isinstance(value, Tensor) else value
            for name, value in vars(self).items()
        }
        moved.store = self.store.to(device)
        return moved

    def gather(self, indices: Tensor) -> Tensor:
        """Render the images, uint8 (B, C, H, W), at int64 `indices` (B,)."""
        return self.store.gather(self._images(indices))

    def attributes(self, indices: Tensor) -> ShapeAttributes:
        """Return what the images at int64 `indices` (B,) show."""
        return self.store.attributes(self._images(indices))

    def numbers(self, indices: Tensor) -> Tensor:
        """Return the number of each image among all rendered images, int64 (B,)."""
        return self.store.numbers(self._images(indices))

    def _images(self, indices: Tensor) -> Tensor:
        return self.images[indices.to(self.images.device)]


def caption_of(about: ShapeAttributes, i: int, *, template: int, low: float, high: float) -> str:
    """Return the caption of image i of a batch.

    Args:
        about: What the images show.
        i: Number of the image.
        template: Number of the form of words.
        low: Smallest size of a shape.
        high: Largest size of a shape.
    """
    size, margin = float(about.size[i]), CLEAR * (high - low)
    word = ""
    if high > 1.5 * low:  # else no shape is clearly smaller than another
        word = "small " if size < low + margin else "large " if size > high - margin else ""
    text = TEMPLATES[template].format(size=word, colour=about.colour[i], kind=about.kind[i])
    first, _, rest = text.partition(" ")
    return f"an {rest}" if first == "a" and rest[:1].lower() in VOWELS else text
