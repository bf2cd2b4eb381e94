"""Reading and writing of frames: GIF files, folders of pictures, and videos through PyAV.

Frames are one uint8 tensor (T, C, H, W). PyAV is the extra `limner[video]`, and its wheel contains
ffmpeg. A video is opened as the format that its suffix states, and read from an open file, so that
a playlist cannot name further files.
"""

__all__ = [
    "GIF", "MAX_FRAME_BYTES", "VIDEO_SUFFIXES", "MissingPyAV", "decode_frames", "read_frames",
    "write_frames", "write_gif", "write_video",
]  # fmt: skip

import itertools
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image, ImageSequence
from torch import Tensor

from limner.files.atomic import atomic_file
from limner.files.natural_order import natural_key
from limner.files.pictures import MAX_PIXELS, SUFFIXES, load_picture, open_picture
from limner.files.plain import NotPlainError, open_regular, read_bytes

GIF, MP4 = ".gif", ".mp4"
CONTAINERS = {
    ".avi": "avi", ".m4v": "mov", ".mkv": "matroska", ".mov": "mov", ".mp4": "mov",
    ".webm": "matroska",
}  # fmt: skip
"""Suffix of a video file -> ffmpeg's name of its format."""
VIDEO_SUFFIXES = (GIF, *CONTAINERS)
"""Endings of the names of files with several frames, in lower case."""
MAX_BYTES = 2**32
"""Largest size of a video file, 4 GiB."""
MAX_FRAME_BYTES = 2**32
"""Largest size of the frames that are read at once, 4 GiB."""
NO_PYAV = 'Install it: pip install "limner[video]". GIF files and folders of frames need no PyAV.'
MODES = {1: "L", 3: "RGB"}
PIXELS = {1: "gray", 3: "rgb24"}
RATE = re.compile(rb"limner frames_per_second=(\d+(?:/\d+)?)")
"""Comment in a GIF of limner, since PIL stores equal neighbours as one frame that lasts longer."""
GIF_TICK = 10
"""Unit in milliseconds of the duration of a GIF's frame."""


class MissingPyAV(NotPlainError):
    """A video file that only PyAV could read or write, which is not installed."""


def read_frames(
    path: Path, *, first: int = 0, count: int | None = None, num_channels: int = 3
) -> Tensor:
    """Return the frames of a GIF, a video file or a folder of pictures, uint8 (T, C, H, W).

    The pictures of a folder are in the natural order of their names, and must have one size.
    Transparent pixels become white.

    Args:
        path: A file with a suffix of `VIDEO_SUFFIXES`, or a folder.
        first: Number of the first frame to return, from 0.
        count: Largest number of frames to return; None for all.
        num_channels: Number of channels C: 1 (grey) or 3 (RGB).

    Raises:
        MissingPyAV: If the file needs PyAV, which is not installed.
        NotPlainError: If the file has another format, is damaged, is too large, or has no such
            frames.
    """
    path = Path(path)
    if path.is_dir():
        return _stacked(_from_folder(path, first, count, num_channels))
    suffix = path.suffix.lower()
    if suffix == GIF:
        frames = _from_gif(read_bytes(path, max_bytes=MAX_BYTES), num_channels)
        return _stacked(itertools.islice(frames, first, _end(first, count)))
    if suffix not in CONTAINERS:
        raise NotPlainError(f"is no video: the suffix must be one of {', '.join(VIDEO_SUFFIXES)}")
    with open_regular(path, max_bytes=MAX_BYTES) as file:
        frames = _from_video(file, CONTAINERS[suffix], num_channels)
        return _stacked(itertools.islice(frames, first, _end(first, count)))


def write_gif(
    path: Path, frames: Tensor, *, frames_per_second: float, max_side: int | None = None
) -> Path:
    """Write an endless GIF, and return its path; the file is complete or absent.

    Args:
        path: Path of the file, in an existing folder.
        frames: uint8 (T, C, H, W), where C is 1 or 3. Colour frames get 256 colours each.
        frames_per_second: Number of frames per second, at most 50 by the GIF format.
        max_side: Largest height and width in pixels; larger frames are scaled down. None for any.
    """
    pictures = [_bounded(picture, max_side) for picture in _pictures(frames)]
    rate = Fraction(frames_per_second).limit_denominator(1000)
    ticks = max(2, round(1000 / GIF_TICK / rate))
    with atomic_file(Path(path), sync=False) as file:
        pictures[0].save(
            file, format="GIF", save_all=True, append_images=pictures[1:], loop=0,
            duration=ticks * GIF_TICK, comment=f"limner frames_per_second={rate}".encode(),
        )  # fmt: skip
    return Path(path)


def write_video(path: Path, frames: Tensor, *, frames_per_second: float) -> Path:
    """Write an MP4 file (H.264), and return its path; the file is complete or absent.

    The format needs an even height and width: the last row or column is repeated if necessary.

    Args:
        path: Path of the file, in an existing folder.
        frames: uint8 (T, C, H, W), where C is 1 or 3.
        frames_per_second: Number of frames per second.

    Raises:
        MissingPyAV: If PyAV is not installed.
    """
    av = _pyav()
    height, width = frames.shape[2:]
    frames = torch.cat([frames, frames[:, :, -1:]], 2) if height % 2 else frames
    frames = torch.cat([frames, frames[..., -1:]], 3) if width % 2 else frames
    rate = Fraction(frames_per_second).limit_denominator(1000)
    with atomic_file(Path(path), sync=False) as file, av.open(file, "w", format="mp4") as video:
        stream = video.add_stream("libx264", rate=rate, options={"crf": "15"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[2:], "yuv420p"
        for picture in _pictures(frames):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture.convert("RGB")), format="rgb24")
            video.mux(stream.encode(frame))
        video.mux(stream.encode())
    return Path(path)


def write_frames(folder: Path, frames: Tensor) -> list[Path]:
    """Write each frame of uint8 (T, C, H, W) as a PNG in a new or existing folder.

    The names are 000.png, 001.png, ..., with more digits for more than 1,000 frames.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    digits, paths = max(3, len(str(len(frames) - 1))), []
    for number, picture in enumerate(_pictures(frames)):
        path = folder / f"{number:0{digits}}.png"
        with atomic_file(path, sync=False) as file:
            picture.save(file, format="PNG")
        paths.append(path)
    return paths


def decode_frames(
    content: BinaryIO, suffix: str, *, count: int | None = None, num_channels: int = 3
) -> Tensor:
    """Return the first frames of an open video file, uint8 (T, C, H, W); see `read_frames`.

    Args:
        content: Open binary file that can seek.
        suffix: Suffix of the file's name, one of `VIDEO_SUFFIXES` in lower case.
        count: Largest number of frames; None for all.
        num_channels: 1 (grey) or 3 (RGB).
    """
    if suffix == GIF:
        frames = _from_gif(content.read(), num_channels)
    else:
        frames = _from_video(content, CONTAINERS[suffix], num_channels)
    return _stacked(itertools.islice(frames, count))


def _from_gif(content: bytes, num_channels: int) -> Iterator[np.ndarray]:
    picture = open_picture(content)
    if picture.format != "GIF":
        raise NotPlainError(f"is a {picture.format} file with the suffix {GIF}")
    rate = RATE.fullmatch(bytes(picture.info.get("comment", b"")))
    try:
        for frame in ImageSequence.Iterator(picture):
            repeats = _repeats(frame, None if rate is None else rate[1].decode())
            yield from itertools.repeat(_array(frame, num_channels), repeats)
    except Exception as error:  # an untrusted file may cause any exception in PIL
        raise _damaged(error) from error


def _repeats(frame: Image.Image, rate: str | None) -> int:
    """Return how many frames of limner a stored frame stands for; 1 in GIFs of other programs."""
    if rate is None or Fraction(rate) <= 0:
        return 1
    ticks = max(2, round(1000 / GIF_TICK / Fraction(rate)))
    return max(1, round(frame.info.get("duration", 0) / (ticks * GIF_TICK)))


def _from_video(file: BinaryIO, container: str, num_channels: int) -> Iterator[np.ndarray]:
    av = _pyav()
    try:
        with av.open(file, format=container) as video:
            if not video.streams.video:
                raise NotPlainError("has no video stream")
            for frame in video.decode(video=0):
                if frame.width * frame.height > MAX_PIXELS:
                    raise NotPlainError(
                        f"has more than {MAX_PIXELS:,} pixels; scale it down first"
                    )
                array = frame.to_ndarray(format=PIXELS[num_channels])
                yield array.reshape(*array.shape[:2], num_channels).transpose(2, 0, 1)
    except NotPlainError:
        raise
    except Exception as error:  # an untrusted file may cause any exception in PyAV
        raise _damaged(error) from error


def _from_folder(
    folder: Path, first: int, count: int | None, num_channels: int
) -> Iterator[np.ndarray]:
    names = sorted(
        (
            path.name
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and path.name[0] != "."
        ),
        key=natural_key,
    )
    size: tuple[int, int] | None = None
    for name in names[first : _end(first, count)]:
        try:
            picture = load_picture(folder / name)
        except NotPlainError as error:
            raise NotPlainError(f"has a frame {name}, which {error}") from error
        size = size or picture.size
        if picture.size != size:
            raise NotPlainError(
                f"has frames of {size[0]}x{size[1]} pixels, and {name} of "
                f"{picture.width}x{picture.height}"
            )
        yield _array(picture, num_channels)


def _array(picture: Image.Image, num_channels: int) -> np.ndarray:
    """Return uint8 (C, H, W) of a picture; transparent pixels become white."""
    if picture.has_transparency_data:
        over = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    array = np.asarray(picture.convert("RGB").convert(MODES[num_channels]), np.uint8)
    return array.reshape(*array.shape[:2], num_channels).transpose(2, 0, 1)


def _stacked(frames: Iterable[np.ndarray]) -> Tensor:
    found: list[np.ndarray] = []
    for frame in frames:
        found.append(frame)
        if len(found) * frame.nbytes > MAX_FRAME_BYTES:
            raise NotPlainError(
                f"has frames of more than {MAX_FRAME_BYTES:,} bytes; read fewer frames, or scale "
                "it down first"
            )
        if frame.shape != found[0].shape:
            raise NotPlainError("has frames of different sizes")
    if not found:
        raise NotPlainError("has no such frames")
    return torch.from_numpy(np.stack(found))


def _pictures(frames: Tensor) -> Iterator[Image.Image]:
    for frame in frames.cpu():
        array = frame.permute(1, 2, 0).numpy()
        yield Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def _bounded(picture: Image.Image, max_side: int | None) -> Image.Image:
    if max_side is not None and max(picture.size) > max_side:
        picture = picture.copy()
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return picture


def _end(first: int, count: int | None) -> int | None:
    return None if count is None else first + count


def _pyav() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise MissingPyAV(f"needs PyAV. {NO_PYAV}") from error
    return av


def _damaged(error: Any) -> NotPlainError:
    if isinstance(error, NotPlainError):
        return error
    return NotPlainError(f"is damaged ({' '.join(str(error).split()) or type(error).__name__})")
