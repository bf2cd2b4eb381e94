"""Decoded images of one size behind one `gather(indices)`.

A split is decoded once. The uint8 result lies in the cache, and is read into memory where it is
small, mapped from the file where it is large, or decoded anew for each batch where it would not
fit the disk; the one who gathers does not notice.
"""

__all__ = [
    "MappedStore",
    "MemoryStore",
    "OnCorrupt",
    "Store",
    "StoreKind",
    "StreamedStore",
    "open_store",
]

import hashlib
import json
import logging
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from limner.cache import cache_dir, cached_folder, discard_folder, find_folder
from limner.data.decode import MODES, RESIZE, fits, read_picture, to_array
from limner.data.sources import Pictures
from limner.errors import UserError
from limner.files.plain import check_regular, read_json

log = logging.getLogger(__name__)

FORMAT = 3
CHUNK = 1024
StoreKind = Literal["auto", "memory", "mapped", "streamed"]
OnCorrupt = Literal["error", "skip"]
NUM_THREADS = min(8, os.cpu_count() or 1)


class MemoryStore:
    """All images as one uint8 tensor (N, C, H, W), which may lie on any device.

    Its fingerprint is of the pixels and labels, wherever the files lie.
    """

    waits = False
    """Whether to gather may take long, for a disk or for decoding."""

    def __init__(self, images: Tensor, labels: Tensor | None, *, fingerprint: str) -> None:
        self.images, self.labels, self.fingerprint = images, labels, fingerprint

    def __len__(self) -> int:
        return len(self.images)

    @property
    def device(self) -> torch.device:
        """Where `gather` finds the images and takes the indices without a copy."""
        return self.images.device

    def gather(self, indices: Tensor) -> Tensor:
        return self.images.index_select(0, indices.to(self.images.device))

    def to(self, device: torch.device) -> "MemoryStore":
        """The same store on `device`."""
        labels = None if self.labels is None else self.labels.to(device)
        return MemoryStore(self.images.to(device), labels, fingerprint=self.fingerprint)


class MappedStore(MemoryStore):
    """As `MemoryStore`, but the tensor is a file mapped into memory, read as it is touched."""

    waits = True

    def to(self, device: torch.device) -> "MappedStore":
        return self  # it was mapped since it is too large to lie anywhere else


class StreamedStore:
    """Decodes the pictures of each batch when they are asked for.

    Its fingerprint is of the files: names, sizes and times.
    """

    waits = True
    device = torch.device("cpu")

    def __init__(
        self,
        pictures: Pictures,
        labels: Tensor | None,
        image_shape: Sequence[int],
        *,
        fingerprint: str,
    ) -> None:
        self.pictures, self.labels = pictures, labels
        self.image_shape, self.fingerprint = image_shape, fingerprint
        self._pool = ThreadPoolExecutor(NUM_THREADS)

    def __len__(self) -> int:
        return len(self.pictures)

    def gather(self, indices: Tensor) -> Tensor:
        arrays = self._pool.map(
            lambda i: _decode(self.pictures, i, self.image_shape)[0], indices.tolist()
        )
        return torch.from_numpy(np.stack(list(arrays)))

    def to(self, device: torch.device) -> "StreamedStore":
        return self


Store = MemoryStore | MappedStore | StreamedStore


def open_store(
    pictures: Pictures,
    image_shape: Sequence[int],
    *,
    kind: StoreKind,
    memory_limit_gib: float,
    on_corrupt: OnCorrupt,
) -> Store:
    """The store of a split, decoded by this call if no earlier one did so.

    Args:
        pictures: The split.
        image_shape: (C, H, W) that every picture is converted and resized to.
        kind: "memory", "mapped", "streamed", or "auto": the first of these that has room.
        memory_limit_gib: The largest size in GiB that "auto" reads into memory.
        on_corrupt: "error", or "skip" to leave out the pictures that cannot be read.
    """
    if image_shape[0] not in MODES:
        raise UserError(
            f"data.image_shape={list(image_shape)}: images in files have 1 (grey), 3 (RGB) or 4 "
            f"(RGBA) channels, not {image_shape[0]}."
        )
    key = [FORMAT, pictures.fingerprint, list(image_shape), RESIZE, on_corrupt]
    size = len(pictures) * math.prod(image_shape)
    large = size > memory_limit_gib * 2**30
    if (
        kind == "auto"
        and large
        and find_folder("images", key) is None
        and not _disk_has_room(size)
    ):
        kind = "streamed"
        log.info("Too large for the disk (%.1f GiB): decoding as needed.", size / 2**30)
    if kind == "streamed":
        if on_corrupt == "skip":
            raise UserError("data.on_corrupt=skip needs a store; data.store=streamed has none.")
        labels = None if pictures.labels is None else torch.tensor(pictures.labels)
        fingerprint = hashlib.sha256(json.dumps(key).encode()).hexdigest()
        return StreamedStore(pictures, labels, image_shape, fingerprint=fingerprint)

    folder, about, labels = _decoded_folder(pictures, image_shape, on_corrupt, key)
    _say_what_was_done(about, image_shape)
    shape = (about["num_images"], *image_shape)
    mapped = kind == "mapped" or (kind == "auto" and large)
    if mapped:
        pixels = np.memmap(folder / "images.bin", np.uint8, mode="c", shape=shape)
    else:
        pixels = np.fromfile(folder / "images.bin", np.uint8).reshape(shape)
    store = MappedStore if mapped else MemoryStore
    return store(torch.from_numpy(pixels), labels, fingerprint=about["sha256"])


def _decoded_folder(
    pictures: Pictures, image_shape: Sequence[int], on_corrupt: str, key: list
) -> tuple[Path, dict[str, Any], Tensor | None]:
    """The folder in the cache, what about.json says, and the labels; made again if damaged."""

    def build(into: Path) -> None:
        _decode_all(pictures, image_shape, on_corrupt, into)

    folder = cached_folder("images", key, build)
    try:
        return folder, *_checked(folder, image_shape)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        log.warning("The images in %s are damaged (%s): decoding them again.", folder, error)
    discard_folder("images", key)
    folder = cached_folder("images", key, build)
    return folder, *_checked(folder, image_shape)


def _checked(folder: Path, image_shape: Sequence[int]) -> tuple[dict[str, Any], Tensor | None]:
    about = read_json(folder / "about.json")
    images, labels = folder / "images.bin", None
    check_regular(images, max_bytes=None)
    if images.stat().st_size != about["num_images"] * math.prod(image_shape):
        raise ValueError("images.bin has another size than about.json says")
    if about["labels"]:
        check_regular(folder / "labels.npy", max_bytes=None)
        labels = torch.from_numpy(np.load(folder / "labels.npy", allow_pickle=False))
        if labels.shape != (about["num_images"],) or labels.dtype != torch.int64:
            raise ValueError("labels.npy has another size than about.json says")
    return about, labels


def _say_what_was_done(about: Mapping[str, Any], image_shape: Sequence[int]) -> None:
    if about["num_converted"]:
        log.info(
            "%s of %s images had another mode or size: converted to data.image_shape=%s (%s).",
            f"{about['num_converted']:,}",
            f"{about['num_images']:,}",
            list(image_shape),
            RESIZE,
        )
    if about["num_skipped"]:
        log.warning("%d corrupt images were skipped.", about["num_skipped"])


def _disk_has_room(size: int) -> bool:
    folder = next(path for path in (cache_dir(), *cache_dir().parents) if path.exists())
    return shutil.disk_usage(folder).free > 1.05 * size


def _decode_all(
    pictures: Pictures, image_shape: Sequence[int], on_corrupt: str, into: Path
) -> None:
    """Write images.bin, labels.npy and about.json into a folder."""
    start, changed, kept = time.monotonic(), 0, []
    content = hashlib.sha256(json.dumps(list(image_shape)).encode())
    if len(pictures) > CHUNK:
        log.info("Decoding %s images, once ...", f"{len(pictures):,}")
    with open(into / "images.bin", "wb") as file:
        for i, array, converted in _decoded(pictures, image_shape, on_corrupt):
            pixels = np.ascontiguousarray(array).data
            file.write(pixels)
            content.update(pixels)
            kept.append(i)
            changed += converted
    if not kept:
        raise UserError(f"None of the {len(pictures)} images can be read.")
    if pictures.labels is not None:
        labels = np.asarray(pictures.labels, np.int64)[kept]
        np.save(into / "labels.npy", labels)
        content.update(labels.data)
    about = {
        "num_images": len(kept),
        "num_converted": changed,
        "num_skipped": len(pictures) - len(kept),
        "labels": pictures.labels is not None,
        "sha256": content.hexdigest(),
    }
    (into / "about.json").write_text(json.dumps(about))
    if len(pictures) > CHUNK:
        log.info("Decoded in %.1f s.", time.monotonic() - start)


def _decoded(
    pictures: Pictures, image_shape: Sequence[int], on_corrupt: str
) -> Iterator[tuple[int, np.ndarray, bool]]:
    """(number, array, whether converted) of each readable picture, in order."""

    def decode(i: int) -> tuple[np.ndarray, bool] | None:
        try:
            return _decode(pictures, i, image_shape)
        except UserError:
            if on_corrupt == "skip":
                return None
            raise

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for chunk in _chunks(pictures):
            for i, result in zip(chunk, pool.map(decode, chunk), strict=True):
                if result is not None:
                    yield i, *result


def _chunks(pictures: Pictures) -> Iterator[range]:
    """Yield runs of numbers, so that only one run of decoded pictures waits to be written."""
    for start in range(0, len(pictures), CHUNK):
        yield range(start, min(start + CHUNK, len(pictures)))


def _decode(pictures: Pictures, i: int, image_shape: Sequence[int]) -> tuple[np.ndarray, bool]:
    picture = read_picture(pictures, i)
    return to_array(picture, image_shape), not fits(picture, image_shape)
