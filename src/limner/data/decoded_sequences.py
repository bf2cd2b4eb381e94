"""Cache of decoded sequences: frames.bin, lengths.npy and about.json of each split.

Each frame is scaled until it covers the frame size, and its centre is cut out, as for pictures of
an image folder.
"""

__all__ = ["FrameFiles", "open_frames"]

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from limner.cache import cached_folder, discard_folder
from limner.data.backgrounds import compose, hexadecimal, may_be_transparent
from limner.data.decode import RESIZE, CorruptPicture, to_array, upright
from limner.data.decoded_folder import MAX_SHOWN, NUM_THREADS
from limner.data.sequence_frames import StoredSequences
from limner.data.sequence_store import SequenceSettings
from limner.errors import UserError
from limner.files.plain import check_regular, read_json
from limner.files.printable import printable

log = logging.getLogger(__name__)

FORMAT = 1
MANY = 1024
"""Number of frames in files whose decoding takes long enough to be announced."""


@dataclass(frozen=True)
class FrameFiles:
    """The files of one sequence."""

    name: str
    """Name of the sequence, for messages and `data.group`."""
    files: Sequence[str]
    """Names of the files."""
    frames: Sequence[tuple[str, Callable[[], Image.Image]]] | Callable[[], Iterator[Image.Image]]
    """Name of each frame and a function that decodes it; or a function that decodes a video."""


def open_frames(
    sequences: Sequence[FrameFiles], settings: SequenceSettings, fingerprint: object
) -> tuple[StoredSequences, list[str]]:
    """Return the store of a split and the names of its sequences; the first call decodes them.

    Args:
        sequences: Sequences of the split.
        settings: Values of the data module.
        fingerprint: Plain JSON data that changes with the files.

    Raises:
        UserError: If a sequence cannot be read or is too short, and `on_corrupt` is "error"; or if
            no sequence is left.
    """
    files = [name for sequence in sequences for name in sequence.files]
    key = [FORMAT, fingerprint, list(settings.image_shape), RESIZE, settings.on_corrupt]
    if may_be_transparent(files, settings.background):
        key += ["background", hexadecimal(settings.background)]
    folder, about, lengths = _kept_or_made(
        key, lambda into: _decode_all(sequences, settings, into), settings.image_shape
    )
    if about["num_skipped"]:
        log.warning("Sequences that cannot be read were left out: %d.", about["num_skipped"])
    if about["background"] is not None:
        log.info("Transparent pixels show the colour data.background=%s.", about["background"])
    path, shape = folder / "frames.bin", (int(lengths.sum()), *settings.image_shape)
    large = path.stat().st_size > settings.memory_limit_gib * 2**30
    mapped = settings.store == "mapped" or (settings.store == "auto" and large)
    pixels = (
        np.memmap(path, np.uint8, mode="c", shape=shape)
        if mapped
        else np.fromfile(path, np.uint8).reshape(shape)
    )
    names = [sequences[i].name for i in about["kept"]]
    store = StoredSequences(
        torch.from_numpy(pixels), torch.from_numpy(lengths), num_frames=settings.num_frames,
        fingerprint=about["sha256"], waits=mapped,
    )  # fmt: skip
    store.background = about["background"]
    return _long_enough(store, names, settings)


def _long_enough(
    store: StoredSequences, names: list[str], settings: SequenceSettings
) -> tuple[StoredSequences, list[str]]:
    """Return the sequences with T frames or more, and their names."""
    short = (store.lengths < settings.num_frames).nonzero()[:, 0].tolist()
    if not short:
        return store, names
    listed = ", ".join(f"{printable(names[i])} ({store.lengths[i]})" for i in short[:MAX_SHOWN])
    listed += f" and {len(short) - MAX_SHOWN:,} more" if len(short) > MAX_SHOWN else ""
    have = "has" if len(short) == 1 else "have"
    told = (
        f"{len(short):,} of {len(names):,} sequences {have} fewer than the data.num_frames="
        f"{settings.num_frames} frames\n(data.num_inputs + data.num_targets): {listed}."
    )
    if settings.on_corrupt == "error" or len(short) == len(names):
        raise UserError(f"{told}\n{_remedy(store.lengths, settings)}")
    log.warning("%s\nThey are left out.", told)
    kept = [i for i in range(len(names)) if i not in set(short)]
    return store.only(kept), [names[i] for i in kept]


def _remedy(lengths: torch.Tensor, settings: SequenceSettings) -> str:
    """Return what a user can do if some sequences, or all, are too short."""
    shortest, longest = int(lengths.min()), int(lengths.max())
    fewer = "\nChoose data.num_inputs and data.num_targets with a sum of {} at most".format
    if longest >= settings.num_frames:
        least = fewer(shortest)[1:] + ", or leave such\nsequences out" if shortest > 1 else (
            "Leave such sequences out"
        )  # fmt: skip
        return f"{least}: data.on_corrupt=skip"
    if longest > 1:
        return f"The longest has {longest}.{fewer(longest)}."
    return "A sequence needs two frames or more: a folder of frames, or a video."


def _kept_or_made(
    key: list, build: Callable[[Path], None], image_shape: Sequence[int]
) -> tuple[Path, dict[str, Any], np.ndarray]:
    folder = cached_folder("sequences", key, build)
    try:
        return folder, *_checked(folder, image_shape)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        log.warning("The frames in %s are damaged (%s): decoding them again.", folder, error)
    discard_folder("sequences", key)
    folder = cached_folder("sequences", key, build)
    return folder, *_checked(folder, image_shape)


def _checked(folder: Path, image_shape: Sequence[int]) -> tuple[dict[str, Any], np.ndarray]:
    about = read_json(folder / "about.json", max_bytes=2**30)
    for name in ("frames.bin", "lengths.npy"):
        check_regular(folder / name, max_bytes=None)
    lengths = np.load(folder / "lengths.npy", allow_pickle=False)
    size = (folder / "frames.bin").stat().st_size
    if lengths.dtype != np.int64 or lengths.shape != (len(about["kept"]),):
        raise ValueError("the size of lengths.npy differs from about.json")
    if lengths.min() < 1 or size != int(lengths.sum()) * math.prod(image_shape):
        raise ValueError("the size of frames.bin differs from lengths.npy")
    return {**about, "sha256": str(about["sha256"])}, lengths


def _decode_all(sequences: Sequence[FrameFiles], settings: SequenceSettings, into: Path) -> None:
    """Write the files of the cache into a folder."""
    start, lengths, kept, corrupt, composed = time.monotonic(), [], [], [], 0
    content = hashlib.sha256(json.dumps(list(settings.image_shape)).encode())
    is_long = sum(len(each.files) for each in sequences) > MANY
    if is_long or any(callable(each.frames) for each in sequences):
        log.info("Decoding %s sequences, once ...", f"{len(sequences):,}")
    with open(into / "frames.bin", "wb") as file, ThreadPoolExecutor(NUM_THREADS) as pool:
        for i, sequence in enumerate(sequences):
            first, pixels, length = file.tell(), hashlib.sha256(), 0
            try:
                for array, is_composed in _decoded(sequence, settings, pool):
                    file.write(array.data)
                    pixels.update(array.data)
                    length, composed = length + 1, composed + is_composed
            except CorruptPicture as error:
                corrupt.append(error)
                file.seek(first)
                file.truncate()
                continue
            lengths.append(length)
            kept.append(i)
            content.update(pixels.digest() + length.to_bytes(8, "big"))
    if corrupt and (settings.on_corrupt == "error" or not kept):
        _refuse(corrupt, len(sequences))
    for line in _listed(corrupt):
        log.warning("%s", line)
    np.save(into / "lengths.npy", np.asarray(lengths, np.int64))
    about = {
        "kept": kept,
        "num_skipped": len(corrupt),
        "background": hexadecimal(settings.background) if composed else None,
        "sha256": content.hexdigest(),
    }
    (into / "about.json").write_text(json.dumps(about))
    if is_long:
        log.info("Decoded in %.1f s.", time.monotonic() - start)


def _decoded(
    sequence: FrameFiles, settings: SequenceSettings, pool: ThreadPoolExecutor
) -> Iterator[tuple[np.ndarray, bool]]:
    """Yield each frame, uint8 (C, H, W), and whether it was composed over the background.

    Raises:
        CorruptPicture: If a frame cannot be read.
    """

    def converted(name: str, read: Callable[[], Image.Image]) -> tuple[np.ndarray, bool]:
        try:
            picture, composed = compose(upright(read()), settings.background)
            array = to_array(picture, settings.image_shape, background=settings.background)
        except Exception as error:  # an untrusted file may cause any exception in its reader
            raise CorruptPicture(name, _reason(error)) from error
        return np.ascontiguousarray(array), composed

    if not callable(sequence.frames):
        for start in range(0, len(sequence.frames), NUM_THREADS):
            part = sequence.frames[start : start + NUM_THREADS]
            yield from pool.map(lambda each: converted(*each), part)
        return
    name, number, frames = sequence.files[0], 0, iter(sequence.frames())
    while True:
        try:
            picture = next(frames, None)
        except Exception as error:
            raise CorruptPicture(name, _reason(error)) from error
        if picture is None:
            break
        yield converted(name, lambda picture=picture: picture)
        number += 1
    if not number:
        raise CorruptPicture(name, "has no frames")


def _refuse(corrupt: Sequence[CorruptPicture], total: int) -> None:
    if len(corrupt) == 1 and total > 1:
        raise corrupt[0]
    listed = "\n".join(_listed(corrupt))
    raise UserError(
        f"{len(corrupt):,} of {total:,} sequences cannot be read:\n{listed}\n"
        "Repair or remove them, or leave such sequences out: data.on_corrupt=skip"
    )


def _listed(corrupt: Sequence[CorruptPicture]) -> list[str]:
    lines = [f"  {each.name}: {each.reason}" for each in corrupt[:MAX_SHOWN]]
    if len(corrupt) > MAX_SHOWN:
        lines.append(f"  and {len(corrupt) - MAX_SHOWN:,} more")
    return lines


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
