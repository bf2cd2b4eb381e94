"""Decoded images of one size, read by `gather(indices)`.

A split is decoded once. The uint8 result is in the cache. A small split is read into memory, and a
large split is mapped from the file. A split that would not fit on the disk is decoded again for
each batch. `gather` is the same for all three.
"""

__all__ = [
    "MappedStore",
    "MemoryStore",
    "OnCorrupt",
    "Store",
    "StoreKind",
    "StreamedStore",
    "fits_device",
    "open_store",
]

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from limner.cache import cache_dir, find_folder
from limner.data.backgrounds import Colour, hexadecimal, may_be_transparent
from limner.data.decode import MODES, RESIZE, CorruptPicture, decode
from limner.data.decoded_folder import NUM_THREADS, OnCorrupt, decoded_folder
from limner.data.picture_texts import PictureTexts
from limner.data.sources import Pictures
from limner.errors import UserError
from limner.files.printable import counted

log = logging.getLogger(__name__)

FORMAT = 3
DEVICE_SHARE = 0.25
"""Largest share of an accelerator's memory for the images of a data set."""
StoreKind = Literal["auto", "memory", "mapped", "streamed"]


def fits_device(num_bytes: int, device: torch.device) -> bool:
    """Return whether images of so many bytes should be kept in the memory of an accelerator."""
    if device.type != "cuda":
        return False
    return num_bytes < DEVICE_SHARE * torch.cuda.get_device_properties(device).total_memory


class MemoryStore:
    """All images as one uint8 tensor (N, C, H, W) on any device.

    Its fingerprint depends on the pixels and labels only, not on the location of the files.
    """

    waits = False
    """Whether `gather` may take long, for a disk or for decoding."""
    background: str | None = None
    """Background "#rrggbb" behind transparent pixels; None if there were no such pixels."""
    about: PictureTexts = PictureTexts()
    """Captions and groups of the pictures."""
    texts: Tensor | None = None
    """Tokens int64 (N, L) of the first caption of each image; None without captions."""

    def __init__(self, images: Tensor, labels: Tensor | None, *, fingerprint: str) -> None:
        self.images, self.labels, self.fingerprint = images, labels, fingerprint

    def __len__(self) -> int:
        return len(self.images)

    @property
    def num_bytes(self) -> int:
        """Memory that the images take on a device."""
        return self.images.nbytes

    @property
    def device(self) -> torch.device:
        """Device of the images, on which `gather` takes the indices without a copy."""
        return self.images.device

    def gather(self, indices: Tensor) -> Tensor:
        """Return the images, uint8 (B, C, H, W), at int64 `indices` (B,)."""
        return self.images.index_select(0, indices.to(self.images.device))

    def to(self, device: torch.device) -> "MemoryStore":
        """Return the same store on `device`."""
        labels = None if self.labels is None else self.labels.to(device)
        moved = MemoryStore(self.images.to(device), labels, fingerprint=self.fingerprint)
        moved.background, moved.about = self.background, self.about
        moved.texts = None if self.texts is None else self.texts.to(device)
        return moved


class MappedStore(MemoryStore):
    """A `MemoryStore` whose tensor is a file mapped into memory, read when it is accessed."""

    waits = True

    def to(self, device: torch.device) -> "MappedStore":
        """Return the store itself; a mapped store is assumed to be too large for a device."""
        return self


class StreamedStore:
    """Store that decodes the pictures of each batch on request.

    Its fingerprint depends on the names, sizes and times of the files.
    """

    waits = True
    num_bytes = 0
    device = torch.device("cpu")
    texts: Tensor | None = None

    def __init__(
        self,
        pictures: Pictures,
        labels: Tensor | None,
        image_shape: Sequence[int],
        *,
        fingerprint: str,
        colour: Colour,
    ) -> None:
        self.pictures, self.labels, self.colour = pictures, labels, colour
        self.image_shape, self.fingerprint = image_shape, fingerprint
        self.background: str | None = None  # as in `MemoryStore`, if any may be transparent
        self.about = PictureTexts.of(pictures)
        self._pool = ThreadPoolExecutor(NUM_THREADS)

    def __len__(self) -> int:
        return len(self.pictures)

    def gather(self, indices: Tensor) -> Tensor:
        """Decode the images, uint8 (B, C, H, W), at int64 `indices` (B,)."""
        return torch.from_numpy(np.stack(list(self._pool.map(self._array, indices.tolist()))))

    def _array(self, i: int) -> np.ndarray:
        try:
            return decode(self.pictures, i, self.image_shape, background=self.colour).array
        except CorruptPicture as error:
            raise UserError(
                f"The image {error.name} cannot be read ({error.reason}).\nRepair or remove it. "
                "Only a store of decoded images leaves such images out: data.store=mapped "
                "data.on_corrupt=skip"
            ) from error

    def to(self, device: torch.device) -> "StreamedStore":
        """Return the store itself, which has no images to move."""
        return self


Store = MemoryStore | MappedStore | StreamedStore


def open_store(
    pictures: Pictures,
    image_shape: Sequence[int],
    *,
    kind: StoreKind,
    memory_limit_gib: float,
    on_corrupt: OnCorrupt,
    background: Colour,
) -> Store:
    """Open the store of a split; the first call decodes the pictures.

    Args:
        pictures: Pictures of the split.
        image_shape: (C, H, W) to which every picture is converted and resized.
        kind: "memory", "mapped", "streamed", or "auto" for the first of these that has room.
        memory_limit_gib: Largest size in GiB that "auto" reads into memory.
        on_corrupt: "error", or "skip" to leave out pictures that cannot be read.
        background: Colour behind transparent pixels; without effect for 4 channels.

    Raises:
        UserError: If pictures cannot be read (the message names them), or the cache has no room.
    """
    if image_shape[0] not in MODES:
        raise UserError(
            f"data.image_shape={list(image_shape)}: images in files have 1 (grey), 3 (RGB) or 4 "
            f"(RGBA) channels, not {image_shape[0]}."
        )
    key = [FORMAT, pictures.fingerprint, list(image_shape), RESIZE, on_corrupt]
    if on_corrupt == "skip" and (pictures.texts is not None or pictures.groups is not None):
        key.append("kept")  # such a folder states which pictures it has
    size = len(pictures) * math.prod(image_shape)
    large = size > memory_limit_gib * 2**30
    if (
        kind == "auto"
        and large
        and find_folder("images", key) is None
        and not _disk_has_room(size)
    ):
        if on_corrupt == "skip":
            raise UserError(
                f"data.on_corrupt=skip needs a store of decoded images, and the cache "
                f"({cache_dir()}) has no room for {size / 2**30:.1f} GiB.\nMake room, or name a "
                "folder on another disk: LIMNER_CACHE=DIR in the environment."
            )
        kind = "streamed"
        log.info(
            "The decoded images (%.1f GiB) do not fit on the disk: each image is decoded "
            "when it is read.",
            size / 2**30,
        )
    if kind == "streamed":
        return _streamed(pictures, image_shape, on_corrupt, background, key)
    folder, about, labels = decoded_folder(
        pictures, image_shape, on_corrupt=on_corrupt, background=background, key=key
    )
    _say_what_was_done(about, image_shape)
    shape = (about["num_images"], *image_shape)
    mapped = kind == "mapped" or (kind == "auto" and large)
    if mapped:
        pixels = np.memmap(folder / "images.bin", np.uint8, mode="c", shape=shape)
    else:
        pixels = np.fromfile(folder / "images.bin", np.uint8).reshape(shape)
    cls = MappedStore if mapped else MemoryStore
    store = cls(torch.from_numpy(pixels), labels, fingerprint=about["sha256"])
    store.background = about.get("background")
    store.about = PictureTexts.of(pictures, kept=about.get("kept"))
    return store


def _streamed(
    pictures: Pictures, image_shape: Sequence[int], on_corrupt: str, background: Colour, key: list
) -> StreamedStore:
    if on_corrupt == "skip":
        raise UserError(
            "data.on_corrupt=skip needs a store of decoded images, which data.store=streamed is "
            "not: choose data.store=mapped, or data.on_corrupt=error."
        )
    composed = image_shape[0] != 4 and may_be_transparent(pictures.names, background)
    if composed:
        key = [*key, "background", hexadecimal(background)]
    store = StreamedStore(
        pictures,
        None if pictures.labels is None else torch.tensor(pictures.labels),
        image_shape,
        fingerprint=hashlib.sha256(json.dumps(key).encode()).hexdigest(),
        colour=background,
    )
    store.background = hexadecimal(background) if composed else None
    return store


def _say_what_was_done(about: Mapping[str, Any], image_shape: Sequence[int]) -> None:
    if about["num_converted"]:
        log.info(
            "%s of %s with another mode or size, converted to data.image_shape=%s (%s).",
            f"{about['num_converted']:,}",
            counted(about["num_images"], "image"),
            list(image_shape),
            RESIZE,
        )
    if about.get("num_transparent"):
        log.info(
            "%s with transparent pixels, which show the colour data.background=%s.",
            counted(about["num_transparent"], "image"),
            about["background"],
        )
    if about["num_skipped"]:
        log.warning("Skipped %s.", counted(about["num_skipped"], "corrupt image"))


def _disk_has_room(size: int) -> bool:
    folder = next(path for path in (cache_dir(), *cache_dir().parents) if path.exists())
    return shutil.disk_usage(folder).free > 1.05 * size
