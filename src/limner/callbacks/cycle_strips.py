"""Strips of both directions of a CycleGAN: a picture, its translation, and the way back."""

__all__ = ["CycleGallery", "CycleStrip"]

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from limner.callbacks.picture_labels import with_labels
from limner.callbacks.pictures import grid
from limner.callbacks.strip_tiles import TILE, centre, colours, fitted, without_repeats
from limner.interfaces import Batch
from limner.pixels import to_float

LEVELS = 127.5  # levels of 255 in a difference of 1


class CycleStrip(NamedTuple):
    """One picture of a domain: its cycle error, and the pictures made of it."""

    error: float
    """Mean absolute difference of the picture and its cycle, in levels of 255."""
    tiles: Tensor
    """uint8 (N, 3, 256, 256)."""


class CycleGallery:
    """The first strips of each domain, and the worst and the best of each by their cycle error.

    A strip of domain A shows the centre of a picture a, of its translation G(a), and of the cycle
    F(G(a)); a strip of domain B likewise b, F(b) and G(F(b)). If the pictures of a batch are a
    hidden pair, the partner in the other domain is the fourth tile.

    Args:
        num_images: Number of first strips of each domain.
    """

    caption = "Validation pictures of both domains, their translations, and the way back."
    caption_of_extremes = "The pictures of each domain with the largest and smallest cycle error."

    def __init__(self, num_images: int) -> None:
        self.num_images = num_images
        self.first: dict[str, CycleStrip] = {}
        self.extremes: dict[str, CycleStrip] = {}
        self._counts = {"a": 0, "b": 0}

    def add(self, outputs: Mapping[str, Tensor], batch: Batch) -> None:
        """Add the pictures of a batch; the outputs are of `CycleGAN.validation_step`."""
        for domain, other in (("a", "b"), ("b", "a")):
            weights = batch.get(f"weight_{domain}", torch.ones(len(batch[f"image_{domain}"])))
            for i in weights.nonzero().flatten().tolist():
                shown = [batch[f"image_{domain}"], outputs[f"output_{other}"]]
                shown.append(outputs[f"cycle_{domain}"])
                if batch.get("is_pair", False):
                    shown.append(batch[f"image_{other}"])
                self._add(domain.upper(), [each[i] for each in shown])

    def take_extremes(self, others: Sequence[Mapping[str, CycleStrip]]) -> None:
        """Take the worst and the best of the galleries of all processes."""
        self.extremes = {}
        for each in others:
            for name, strip in each.items():
                self._take_extreme(name, strip)

    def picture(self, strips: Mapping[str, CycleStrip], *, title: str) -> Image.Image:
        """Return one picture of strips by name, a row for each."""
        columns = ["picture", "translation", "way back", "hidden partner"]
        columns = columns[: min(len(strip.tiles) for strip in strips.values())]
        shown = without_repeats(strips)
        tiles = torch.cat([strip.tiles[: len(columns)] for strip in shown.values()])
        return with_labels(
            grid(to_float(tiles), columns=len(columns)),
            title=title,
            about=f"The centre of each picture, at most {TILE}x{TILE} pixels, with the mean "
            "absolute difference of the picture and the way back, in levels of 255.",
            rows=[f"{name}: {strip.error:.1f}" for name, strip in shown.items()],
            columns=columns,
        )

    def _add(self, domain: str, shown: list[Tensor]) -> None:
        error = LEVELS * float((shown[2] - shown[0]).abs().mean())
        number = self._counts[domain.lower()] = self._counts[domain.lower()] + 1
        is_first = number <= self.num_images
        names = [f"worst of {domain}", f"best of {domain}"]
        if not is_first and not any(self._is_extreme(name, error) for name in names):
            return
        strip = CycleStrip(error, torch.stack([fitted(centre(colours(each))) for each in shown]))
        if is_first:
            self.first[f"{domain} {number}"] = strip
        for name in names:
            self._take_extreme(name, strip)

    def _is_extreme(self, name: str, error: float) -> bool:
        sign = 1 if name.startswith("worst") else -1
        return name not in self.extremes or sign * error > sign * self.extremes[name].error

    def _take_extreme(self, name: str, strip: CycleStrip) -> None:
        if self._is_extreme(name, strip.error):
            self.extremes[name] = strip
