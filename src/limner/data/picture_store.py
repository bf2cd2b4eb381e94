"""Decoded pictures of different sizes, read as crops or as whole pictures.

A split is decoded once. The pixels of all pictures follow one another in one flat uint8 buffer,
which is read into memory or, if it is large, mapped from a file of the cache.
"""

__all__ = ["CentreCrops", "PictureStore", "open_pictures", "refuse_small"]

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limner.data.backgrounds import Colour
from limner.data.decode import MODES
from limner.data.decoded_folder import OnCorrupt, decoded_folder
from limner.data.sources import Pictures
from limner.data.store import StoreKind
from limner.errors import UserError
from limner.files.printable import counted, printable

log = logging.getLogger(__name__)

FORMAT = 1


class PictureStore:
    """Pictures of different sizes, and one number of channels, in a flat uint8 buffer.

    Its fingerprint depends on the pixels and sizes only, not on the location of the files.

    Args:
        pixels: uint8 (P,): the pixels (C, H, W) of each picture, one picture after the other.
        sizes: int64 (N, 2): height and width of each picture.
        num_channels: Number of channels C of every picture.
        names: Name of each picture, for messages.
        fingerprint: Text that changes whenever pixels or sizes change.
        waits: Whether reading may take long, because the buffer is a mapped file.
    """

    labels: Tensor | None = None
    background: str | None = None
    """Background "#rrggbb" behind transparent pixels; None if there were no such pixels."""
    device = torch.device("cpu")
    """Device of the indices that `gather` reads; the pixels may be on another device."""
    numbers: Sequence[int] | None = None
    """Number of each picture in its source; None if that is its number in the store."""

    def __init__(
        self,
        pixels: Tensor,
        sizes: Tensor,
        *,
        num_channels: int,
        names: Sequence[str],
        fingerprint: str,
        waits: bool,
    ) -> None:
        self.pixels, self.sizes, self.num_channels = pixels, sizes, num_channels
        self.names, self.fingerprint, self.waits = names, fingerprint, waits
        ends = num_channels * sizes.prod(dim=1).cumsum(0)
        self._starts = [0, *ends.tolist()]
        self._sizes = sizes.tolist()

    @property
    def num_bytes(self) -> int:
        """Memory that the pixels take."""
        return self.pixels.nbytes

    @property
    def targets(self) -> "PictureStore":
        """The store itself, whose pictures are the targets of a model."""
        return self

    def __len__(self) -> int:
        return len(self._sizes)

    def picture(self, i: int) -> Tensor:
        """Return picture number i, uint8 (C, H, W), without a copy."""
        part = self.pixels[self._starts[i] : self._starts[i + 1]]
        return part.view(self.num_channels, *self._sizes[i])

    def gather(self, indices: Tensor, boxes: Tensor, *, size: Sequence[int]) -> Tensor:
        """Return a crop of each picture, uint8 (B, C, h, w).

        Args:
            indices: int64 (B,): numbers of the pictures.
            boxes: int64 (B, 2): top row and left column of each crop, which lies in its picture.
            size: Height and width (h, w) of the crops.
        """
        height, width = size
        found = self.pixels.new_empty(len(indices), self.num_channels, height, width)
        for into, i, (top, left) in zip(found, indices.tolist(), boxes.tolist(), strict=True):
            into.copy_(self.picture(i)[:, top : top + height, left : left + width])
        return found

    def refuse_small(
        self,
        indices: Tensor,
        size: int,
        *,
        key: str = "crop_size",
        multiple: int = 1,
        border: int = 0,
    ) -> None:
        """Raise `UserError` if one of the pictures is smaller than a square.

        Args:
            indices: int64 (N,): numbers of the pictures.
            size: Height and width of the square.
            key: Key of `data` that sets the size, for the message.
            multiple: Number by which a size must divide, for the advice of the message.
            border: Number of pixels that shifts of views read on each side of the square.
        """
        refuse_small(self, indices, size, key=key, multiple=multiple, border=border)

    def to(self, device: torch.device) -> "PictureStore":
        """Return the same store with its pixels on `device`; a mapped store stays where it is."""
        if self.waits:
            return self
        moved = PictureStore(
            self.pixels.to(device), self.sizes, num_channels=self.num_channels, names=self.names,
            fingerprint=self.fingerprint, waits=False,
        )  # fmt: skip
        moved.background = self.background
        return moved


class CentreCrops:
    """The centres of pictures as images of one size, for models and scores that need such images.

    Args:
        store: Store of the pictures.
        size: Height and width of the crops.
    """

    labels: Tensor | None = None

    def __init__(self, store: PictureStore, size: int) -> None:
        self.store, self.size = store, size
        self.fingerprint = f"{store.fingerprint}, centre {size}x{size}"
        self.background, self.waits, self.device = store.background, store.waits, store.device

    def __len__(self) -> int:
        return len(self.store)

    def gather(self, indices: Tensor) -> Tensor:
        """Return the centre crops, uint8 (B, C, size, size), at int64 `indices` (B,).

        Raises:
            UserError: If a picture is smaller than the crop.
        """
        indices = indices.cpu()
        self.store.refuse_small(indices, self.size)
        boxes = (self.store.sizes[indices] - self.size) // 2
        return self.store.gather(indices, boxes, size=(self.size, self.size))


def refuse_small(
    store: Any, indices: Tensor, size: int, *, key: str, multiple: int, border: int = 0
) -> None:
    """Raise `UserError` if one of the pictures of a store is smaller than a square.

    Args:
        store: Store with the attributes `sizes` and `names`.
        indices: int64 (N,): numbers of the pictures.
        size: Height and width of the square.
        key: Key of `data` that sets the size, for the message.
        multiple: Number by which a size must divide, for the advice of the message.
        border: Number of pixels that shifts of views read on each side of the square.
    """
    small = indices[(store.sizes[indices] < size + 2 * border).any(dim=1)].tolist()
    if not small:
        return
    height, width = store.sizes[small[0]].tolist()
    least = (int(store.sizes[indices].min()) - 2 * border) // multiple * multiple
    more = f" (and {len(small) - 1:,} more are too small)" if small[1:] else ""
    choice, shifts = f"a data.{key} of {least} at most", ""
    if border:
        shifts = f",\nand data.max_shift reads {border} more on each side"
        smaller = "a smaller data.max_shift"
        choice = f"{choice}, {smaller}" if least > 0 and key == "crop_size" else smaller
    raise UserError(
        f"data.{key}={size}: {printable(store.names[small[0]])} has only {width}x{height} "
        f"pixels{more}{shifts}.\nChoose {choice}, or remove such pictures."
    )


def open_pictures(
    pictures: Pictures,
    num_channels: int,
    *,
    kind: StoreKind,
    memory_limit_gib: float,
    on_corrupt: OnCorrupt,
    background: Colour,
) -> PictureStore:
    """Open the store of a split with every picture at its own size; the first call decodes them.

    Args:
        pictures: Pictures of the split.
        num_channels: Number of channels of all pictures: 1 (grey), 3 (RGB) or 4 (RGBA).
        kind: "memory", "mapped", or "auto" for the first of these that has room.
        memory_limit_gib: Largest size in GiB that "auto" reads into memory.
        on_corrupt: "error", or "skip" to leave out pictures that cannot be read.
        background: Colour behind transparent pixels; without effect for 4 channels.

    Raises:
        UserError: If pictures cannot be read (the message names them), or the cache has no room.
    """
    shape = [num_channels, None, None]
    folder, about, _ = decoded_folder(
        pictures, shape, on_corrupt=on_corrupt, background=background,
        key=["pictures", FORMAT, pictures.fingerprint, shape, on_corrupt],
    )  # fmt: skip
    _say_what_was_done(about, num_channels)
    path = folder / "images.bin"
    large = path.stat().st_size > memory_limit_gib * 2**30
    mapped = kind == "mapped" or (kind == "auto" and large)
    pixels = np.memmap(path, np.uint8, mode="c") if mapped else np.fromfile(path, np.uint8)
    store = PictureStore(
        torch.from_numpy(pixels),
        torch.from_numpy(np.load(folder / "sizes.npy", allow_pickle=False)),
        num_channels=num_channels,
        names=[pictures.names[i] for i in about.get("kept", range(len(pictures)))],
        fingerprint=about["sha256"],
        waits=mapped,
    )
    store.background, store.numbers = about.get("background"), about.get("kept")
    return store


def _say_what_was_done(about: dict, num_channels: int) -> None:
    if about["num_converted"]:
        log.info(
            "%s of %s converted to %s or turned upright.",
            f"{about['num_converted']:,}", counted(about["num_images"], "picture"),
            MODES[num_channels],
        )  # fmt: skip
    if about.get("num_transparent"):
        log.info(
            "%s with transparent pixels, which show the colour data.background=%s.",
            counted(about["num_transparent"], "picture"), about["background"],
        )  # fmt: skip
    if about["num_skipped"]:
        log.warning("Skipped %s.", counted(about["num_skipped"], "corrupt picture"))
