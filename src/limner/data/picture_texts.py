"""What a store of a source's pictures knows about them beside pixels and labels."""

__all__ = ["PictureTexts", "first_caption"]

from collections.abc import Sequence
from typing import NamedTuple

from limner.data.sources import Pictures


class PictureTexts(NamedTuple):
    """Captions and groups of the N images of a store."""

    captions: Sequence[str | Sequence[str]] | None = None
    """Caption of each image, or a list of its captions; None without captions."""
    groups: Sequence[str] | None = None
    """Key of the group of each image; None if each image is its own group."""

    @classmethod
    def of(cls, pictures: Pictures, *, kept: Sequence[int] | None = None) -> "PictureTexts":
        """Return captions and groups of pictures; `kept` has the numbers of those in the store."""
        return cls(*(_kept(values, kept) for values in (pictures.texts, pictures.groups)))


def first_caption(captions: str | Sequence[str]) -> str:
    """Return the caption of an image, the first one if there are several."""
    return captions if isinstance(captions, str) else captions[0]


def _kept(values: Sequence | None, kept: Sequence[int] | None) -> Sequence | None:
    return values if values is None or kept is None else [values[i] for i in kept]
