"""Cache folder with the decoded images of a split: images.bin, labels.npy and about.json.

Pictures that keep their own sizes, of the image shape (C, None, None), have a sizes.npy too.
"""

__all__ = ["NUM_THREADS", "OnCorrupt", "decoded_folder"]

import hashlib
import io
import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from limner.cache import cached_folder, discard_folder
from limner.data.backgrounds import Colour, hexadecimal, may_be_transparent
from limner.data.decode import CorruptPicture, Decoded, decode, none_readable
from limner.data.sources import Pictures
from limner.errors import UserError
from limner.files.plain import check_regular, read_json

log = logging.getLogger(__name__)

CHUNK = 1024
MANY = 100
"""Number of whole pictures whose decoding takes long enough to be announced."""
OnCorrupt = Literal["error", "skip"]
NUM_THREADS = min(8, os.cpu_count() or 1)
MAX_SHOWN = 20
"""Largest number of corrupt pictures that a message names."""


def decoded_folder(
    pictures: Pictures,
    image_shape: Sequence[int | None],
    *,
    on_corrupt: OnCorrupt,
    background: Colour,
    key: list,
) -> tuple[Path, dict[str, Any], Tensor | None]:
    """Return the folder with the decoded images, its about.json, and the labels int64 (N,).

    The first call makes the folder; a damaged folder is made again.

    Args:
        pictures: Pictures of the split.
        image_shape: (C, H, W) of the images, or (C, None, None) to keep the sizes of pictures.
        on_corrupt: "error" to raise for pictures that cannot be read, "skip" to leave them out.
        background: Colour behind transparent pixels.
        key: Other data that determines the content. Pictures without transparent pixels share one
            folder for all backgrounds.

    Raises:
        UserError: If pictures cannot be read; the message names them.
    """

    def build(into: Path) -> None:
        _decode_all(pictures, image_shape, on_corrupt, background, into)

    has_labels = pictures.labels is not None
    found = _kept_or_made(key, build, image_shape, has_labels)
    if image_shape[0] == 4 or _is_on(background, found[1], pictures):
        return found
    key = [*key, "background", hexadecimal(background)]
    return _kept_or_made(key, build, image_shape, has_labels)


def _is_on(background: Colour, about: Mapping[str, Any], pictures: Pictures) -> bool:
    """Return whether cached images are the same as if decoded with this background."""
    num_transparent = about.get("num_transparent")
    if num_transparent is None:  # an earlier version did not count transparent pictures
        return not may_be_transparent(pictures.names, background)
    return num_transparent == 0 or about.get("background") == hexadecimal(background)


def _kept_or_made(
    key: list, build: Any, image_shape: Sequence[int | None], has_labels: bool
) -> tuple[Path, dict[str, Any], Tensor | None]:
    folder = cached_folder("images", key, build)
    try:
        return folder, *_checked(folder, image_shape, has_labels)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        log.warning("The images in %s are damaged (%s): decoding them again.", folder, error)
    discard_folder("images", key)
    folder = cached_folder("images", key, build)
    return folder, *_checked(folder, image_shape, has_labels)


def _checked(
    folder: Path, image_shape: Sequence[int | None], has_labels: bool
) -> tuple[dict[str, Any], Tensor | None]:
    about = read_json(folder / "about.json")
    images, labels = folder / "images.bin", None
    check_regular(images, max_bytes=None)
    if images.stat().st_size != _num_bytes(folder, about["num_images"], image_shape):
        raise ValueError("the size of images.bin differs from about.json")
    if about["labels"] != has_labels:  # an earlier version decoded digits without their labels
        raise ValueError("it has no labels" if has_labels else "it has labels")
    if about["labels"]:
        check_regular(folder / "labels.npy", max_bytes=None)
        labels = torch.from_numpy(np.load(folder / "labels.npy", allow_pickle=False))
        if labels.shape != (about["num_images"],) or labels.dtype != torch.int64:
            raise ValueError("the size of labels.npy differs from about.json")
    return about, labels


def _num_bytes(folder: Path, num_images: int, image_shape: Sequence[int | None]) -> int:
    """Return the due size of images.bin."""
    if image_shape[1] is not None:
        return num_images * math.prod(image_shape)
    check_regular(folder / "sizes.npy", max_bytes=None)
    sizes = np.load(folder / "sizes.npy", allow_pickle=False)
    if sizes.shape != (num_images, 2) or sizes.dtype != np.int64:
        raise ValueError("the size of sizes.npy differs from about.json")
    return image_shape[0] * int(sizes.prod(axis=1).sum())


def _decode_all(
    pictures: Pictures,
    image_shape: Sequence[int | None],
    on_corrupt: OnCorrupt,
    background: Colour,
    into: Path,
) -> None:
    """Write images.bin, labels.npy and about.json into a folder."""
    start, changed, composed = time.monotonic(), 0, 0
    kept: list[int] = []
    sizes: list[tuple[int, int]] = []
    corrupt: list[CorruptPicture] = []
    content = hashlib.sha256(json.dumps(list(image_shape)).encode())
    is_long = len(pictures) > (CHUNK if image_shape[1] is not None else MANY)
    if is_long:
        log.info("Decoding %s images, once ...", f"{len(pictures):,}")
    with open(into / "images.bin", "wb") as file:
        for i, found in _decoded(pictures, image_shape, background):
            if isinstance(found, CorruptPicture):
                corrupt.append(found)
                if len(corrupt) == 1 and on_corrupt == "error" and is_long:
                    log.info("%s cannot be read: checking the remaining images ...", found.name)
            elif not corrupt or on_corrupt == "skip":  # else `_refuse` raises below
                pixels = np.ascontiguousarray(found.array).data
                file.write(pixels)
                content.update(pixels)
                kept.append(i)
                sizes.append(found.array.shape[1:])
                changed += found.converted
                composed += found.composed
    if len(corrupt) == len(pictures):
        raise none_readable(pictures, corrupt[0] if corrupt else None)
    if corrupt:
        _refuse(corrupt, len(pictures)) if on_corrupt == "error" else _tell(corrupt)
    if pictures.labels is not None:
        labels = np.asarray(pictures.labels, np.int64)[kept]
        _save(labels, into / "labels.npy")
        content.update(labels.data)
    if image_shape[1] is None:
        heights_and_widths = np.asarray(sizes, np.int64)
        _save(heights_and_widths, into / "sizes.npy")
        content.update(heights_and_widths.data)
    about = {
        "num_images": len(kept),
        "num_converted": changed,
        "num_skipped": len(corrupt),
        "num_transparent": composed,
        "background": hexadecimal(background) if composed else None,
        "labels": pictures.labels is not None,
        "sha256": content.hexdigest(),
    }
    if corrupt:  # messages name pictures by their number, and captions belong to numbers
        about["kept"] = kept
    (into / "about.json").write_text(json.dumps(about))
    if is_long:
        log.info("Decoded in %.1f s.", time.monotonic() - start)


def _save(array: np.ndarray, path: Path) -> None:
    np.save(buffer := io.BytesIO(), array)
    path.write_bytes(buffer.getvalue())  # a full disk raises OSError here


def _refuse(corrupt: Sequence[CorruptPicture], total: int) -> None:
    if len(corrupt) == 1:
        raise corrupt[0]
    listed = "\n".join(_listed(corrupt))
    raise UserError(
        f"{len(corrupt):,} of {total:,} images cannot be read:\n{listed}\n"
        "Repair or remove them, or leave such images out: data.on_corrupt=skip"
    )


def _tell(corrupt: Sequence[CorruptPicture]) -> None:
    log.warning("Images that cannot be read are left out:")
    for line in _listed(corrupt):
        log.warning("%s", line)


def _listed(corrupt: Sequence[CorruptPicture]) -> list[str]:
    lines = [f"  {each.name}: {each.reason}" for each in corrupt[:MAX_SHOWN]]
    if len(corrupt) > MAX_SHOWN:
        lines.append(f"  and {len(corrupt) - MAX_SHOWN:,} more")
    return lines


def _decoded(
    pictures: Pictures, image_shape: Sequence[int | None], background: Colour
) -> Iterator[tuple[int, Decoded | CorruptPicture]]:
    """Yield the number of each picture and its decoded image or error, in order."""

    def attempt(i: int) -> Decoded | CorruptPicture:
        try:
            return decode(pictures, i, image_shape, background=background)
        except CorruptPicture as error:
            return CorruptPicture(error.name, error.reason)  # its traceback would keep the pixels

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for chunk in _chunks(len(pictures), CHUNK if image_shape[1] is not None else NUM_THREADS):
            yield from zip(chunk, pool.map(attempt, chunk), strict=True)


def _chunks(total: int, size: int) -> Iterator[range]:
    """Yield ranges of numbers, so that at most one range of decoded pictures is in memory."""
    for start in range(0, total, size):
        yield range(start, min(start + size, total))
